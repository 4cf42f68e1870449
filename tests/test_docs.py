"""The documentation: generated pages are up to date, links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(page for folder in (".", "docs", "docs/tutorials", "cluster") for page in (ROOT / folder).glob("*.md"))
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
