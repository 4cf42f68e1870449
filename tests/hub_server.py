"""The Hugging Face Hub as its official client sees it while a folder is uploaded, on this machine."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.local_server import answering


@dataclass
class Hub:
    """What was asked of it. `token`: the one that may write."""

    token: str
    url: str = ""
    created: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    """Path, with the repository's, to content."""


@contextmanager
def hub_server(token: str) -> Iterator[Hub]:
    """A Hub that takes uploads until the context ends."""
    hub = Hub(token)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Authorization"] != f"Bearer {hub.token}":
                self._answer({"error": "Invalid username or password."}, 401)
            elif self.path == "/api/repos/create":
                hub.created.append(json.loads(body))
                kind = "datasets/" if hub.created[-1].get("type") == "dataset" else ""
                self._answer({"url": f"{hub.url}/{kind}{hub.created[-1]['organization']}/{hub.created[-1]['name']}"})
            elif "/preupload/" in self.path:
                files = [{"path": one["path"], "uploadMode": "regular"} for one in json.loads(body)["files"]]
                self._answer({"files": [{**one, "shouldIgnore": False} for one in files]})
            elif "/commit/" in self.path:
                self._commit(body)
            else:
                self._answer({"warnings": [], "errors": []})  # Of the card's front matter.

        def _commit(self, body: bytes) -> None:
            repository = self.path.removeprefix("/api/").partition("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    hub.files[f"{repository}/{line['value']['path']}"] = base64.b64decode(line["value"]["content"])
            self._answer({"success": True, "commitOid": "0" * 40, "commitUrl": f"{hub.url}/{repository}/commit/0"})

        def do_GET(self) -> None:
            self._answer({"sha": "0" * 40, "id": "none", "siblings": []})

        def _answer(self, value: object, status: int = 200) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as hub.url:
        yield hub
