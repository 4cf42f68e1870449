"""Runs the bash blocks of Markdown files as they are printed: `python docs/run_blocks.py README.md ...`.

A block after the comment `<!-- not run: REASON -->` is left out, and the reason is printed.
"""

import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n+)?```bash\n(?P<commands>.*?)```", re.DOTALL)


def main(pages: list[str]) -> int:
    """Run the blocks of `pages` in order; the exit status of the first that fails, else 0."""
    for page in pages:
        for block in BLOCK.finditer(Path(page).read_text(encoding="utf-8")):
            commands = block["commands"].strip()
            if block["reason"]:
                print(f"-- {page}: not run ({block['reason']}): {commands.splitlines()[0]}", flush=True)
                continue
            print(f"-- {page}:\n{commands}", flush=True)
            status = subprocess.run(["bash", "-euo", "pipefail", "-c", commands]).returncode
            if status:
                print(f"-- {page}: the block above failed with {status}", file=sys.stderr)
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
