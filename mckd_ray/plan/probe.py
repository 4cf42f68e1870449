"""Whether a store keeps the promises that runs rely on: locks hold between processes, and files are replaced whole."""

import json
import subprocess
import sys

from mckd_ray.errors import StoreError
from mckd_ray.plan.store import Store
from mckd_ray.storage.root import Place

KEY = "doctor"
REPLACEMENTS = 50
_IS_BUSY = "import sys; from mckd_ray.plan.store import Store; print(Store(sys.argv[1]).busy(sys.argv[2]))"
_REPLACE = """
import json, sys
from mckd_ray.storage import place_at
for number in range(int(sys.argv[2])):
    place_at(sys.argv[1]).write(json.dumps([number] * (1 + 5000 * (number % 2))))
"""


def probe(store: Store) -> None:
    """Raise StoreError unless the store can be written, its locks exclude and its files are replaced all or nothing.

    Other processes of this machine take part; what other nodes see of it is not tested.
    """
    store.check_writable()
    with store.lock(KEY):
        held = _python(_IS_BUSY, store.root.uri, KEY)
    if held.strip() != "True" or store.busy(KEY):
        raise StoreError(
            f"store.root '{store.root.uri}' does not lock files between processes; name a folder on a file system that "
            "does (local, NFS 4, EFS, Filestore)."
        )
    place = Place(store.root, f".{KEY}.json")
    place.write("[]")
    try:
        _read_while_replaced(place)
    finally:
        place.forget()


def _read_while_replaced(place: Place) -> None:
    with subprocess.Popen([sys.executable, "-c", _REPLACE, str(place), str(REPLACEMENTS)]) as writer:  # noqa: S603
        while writer.poll() is None:
            try:
                json.loads(place.read() or "")
            except (OSError, ValueError) as error:
                writer.kill()
                raise StoreError(
                    f"store.root '{place.root.uri}' shows files that are half replaced ({error}); name a folder on "
                    "another file system."
                ) from error


def _python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
