"""The documentation: generated pages are up to date, links lead somewhere, blocks of code are run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs.run_blocks import blocks, main
from mckd_ray.config import ExperimentConfig
from mckd_ray.plan.checks import check

ROOT = Path(__file__).parent.parent
FOLDERS = (".", "docs", "docs/tutorials", "docs/reference", "cluster")
PAGES = sorted(page for folder in FOLDERS for page in (ROOT / folder).glob("*.md"))
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def test_the_command_line_reference_is_what_help_says(tmp_path: Path) -> None:
    code = "import docs.cli_reference as r; print(r.reference(), end='')"
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert made == (ROOT / "docs" / "cli.md").read_text(), "out of date: run `python docs/cli_reference.py`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


def test_the_map_names_every_part_of_the_package() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    parts = [path.name for path in (ROOT / "mckd_ray").iterdir() if not path.name.startswith("_")]
    assert [part for part in parts if part not in page] == []


def test_ci_runs_every_page_that_has_commands_and_each_block_left_out_says_why() -> None:
    (line,) = re.findall(r"run_blocks\.py (.+)", (ROOT / ".ci" / "run").read_text())
    given = {page for pattern in shlex.split(line) for page in ROOT.glob(pattern)}
    tutorials = {ROOT / "README.md", *(ROOT / "docs").rglob("*.md")}
    assert {page for page in tutorials if list(blocks(page.read_text()))} <= given
    for page in given:
        reasons = page.read_text().count("<!-- not run: ")
        assert reasons == sum(bool(block.reason) for block in blocks(page.read_text())), f"{page}: a reason of no block"


def test_blocks_run_as_they_are_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\nwhich python\n```\n\n1. In a list:\n\n"
        "   <!-- not run: needs an account -->\n   ```bash\n   exit 3\n   ```\n"
        "```python\nprint(6 * 7)\n```\n```yaml\nexit: 3\n```\n```bash\nfalse\necho unreached\n```\n"
    )
    assert main([str(page)]) == 1
    said = capfd.readouterr().out.splitlines()
    assert str(Path(sys.executable).parent / "python") in said
    assert "42" in said
    assert any("not run (needs an account): exit 3" in line for line in said)
    assert "unreached" not in said


@pytest.mark.parametrize("page", [page for page in PAGES if "```yaml" in page.read_text()], ids=lambda page: page.name)
def test_configs_on_pages_are_valid(page: Path) -> None:
    """A block may be a part of a config; what it leaves out has its default."""
    for text in re.findall(r"```yaml\n(.*?)```|<<'YAML'\n(.*?)YAML", page.read_text(), re.DOTALL):
        values = yaml.safe_load("".join(text))
        if set(values) <= set(ExperimentConfig.model_fields):
            config = ExperimentConfig.model_validate({"task": {"kind": "constituency"}, "corpus": {}, **values})
            if "teacher" in values:
                check(config)
