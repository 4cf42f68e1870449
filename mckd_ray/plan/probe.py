"""Whether a store keeps the promises that runs rely on: locks hold between processes, and files are replaced whole."""

import json
import subprocess
import sys
from pathlib import Path

from mckd_ray.errors import StoreError
from mckd_ray.plan.store import Store, write_json

KEY = "doctor"
REPLACEMENTS = 50
_IS_BUSY = "import sys; from mckd_ray.plan.store import Store; print(Store(sys.argv[1]).busy(sys.argv[2]))"
_REPLACE = """
import sys
from pathlib import Path
from mckd_ray.plan.store import write_json
for number in range(int(sys.argv[2])):
    write_json(Path(sys.argv[1]), [number] * (1 + 5000 * (number % 2)))
"""


def probe(store: Store) -> None:
    """Raise StoreError unless the store can be written, its locks exclude and its files are replaced all or nothing.

    Other processes of this machine take part; what other nodes see of it is not tested.
    """
    store.check_writable()
    with store.lock(KEY):
        held = _python(_IS_BUSY, str(store.root), KEY)
    if held.strip() != "True" or store.busy(KEY):
        raise StoreError(
            f"store.root '{store.root}' does not lock files between processes; name a folder on a file system that "
            "does (local, NFS 4, EFS, Filestore)."
        )
    path = store.root / f".{KEY}.json"
    write_json(path, [])
    try:
        _read_while_replaced(path)
    finally:
        path.unlink(missing_ok=True)


def _read_while_replaced(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _REPLACE, str(path), str(REPLACEMENTS)]) as writer:  # noqa: S603
        while writer.poll() is None:
            try:
                json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                writer.kill()
                raise StoreError(
                    f"store.root '{path.parent}' shows files that are half replaced ({error}); name a folder on "
                    "another file system."
                ) from error


def _python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
