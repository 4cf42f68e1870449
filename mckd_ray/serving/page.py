"""The page at `/`: one file, whose own script and style are the only ones that the browser runs."""

import base64
import hashlib
import re
from pathlib import Path

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def page() -> tuple[str, str]:
    """The page, and its content security policy: by their digests, its script and style, and requests to here."""
    text = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src {_digests(_SCRIPT, text)}; style-src {_digests(_STYLE, text)}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, policy


def _digests(pattern: re.Pattern[str], text: str) -> str:
    digests = (base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in pattern.findall(text))
    return " ".join(f"'sha256-{digest}'" for digest in digests)
