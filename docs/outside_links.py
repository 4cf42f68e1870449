"""A hook of mkdocs: links to files outside docs/, which lead into the repository, are file names on the site."""

import re
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+(?!images|tutorials|reference)[\w./-]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with each link that leaves docs/ as its text and the file's path."""
    depth = page.file.src_uri.count("/")

    def shown(match: re.Match[str]) -> str:
        text, target = match.groups()
        if target.count("../") <= depth:
            return match.group(0)
        path = target.replace("../", "")
        return f"`{path}`" if path.endswith(text.strip("`")) else f"{text} (`{path}`)"

    return LINK.sub(shown, markdown)
