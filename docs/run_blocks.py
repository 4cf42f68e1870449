"""Runs the bash and Python blocks of Markdown files as they are printed: `python docs/run_blocks.py README.md ...`.

A block after the comment `<!-- not run: REASON -->` is left out, and the reason is printed. Commands of the environment
that runs this file, such as `mckd`, are on the path.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\s*\n)?[ ]*```(?P<language>bash|python)\n(?P<code>.*?)```", re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A block of code; `reason`: why it is not run, empty if it is."""

    language: str
    code: str
    reason: str

    def run(self) -> int:
        """Run it in the current folder; its exit status."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        command = ["bash", "-euo", "pipefail", "-c"] if self.language == "bash" else [sys.executable, "-c"]
        return subprocess.run([*command, self.code], env={**os.environ, "PATH": path}).returncode


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, from top to bottom."""
    for match in BLOCK.finditer(page):
        yield Block(match["language"], match["code"].strip(), match["reason"] or "")


def main(pages: list[str]) -> int:
    """Run the blocks of `pages` in order; the exit status of the first that fails, else 0."""
    for page in pages:
        for block in blocks(Path(page).read_text(encoding="utf-8")):
            if block.reason:
                print(f"-- {page}: not run ({block.reason}): {block.code.splitlines()[0]}", flush=True)
                continue
            print(f"-- {page}:\n{block.code}", flush=True)
            if status := block.run():
                print(f"-- {page}: the block above failed with {status}", file=sys.stderr)
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
