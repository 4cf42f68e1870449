"""A lock among processes that share nothing but an object store: an object that its holder writes again and again.

Each write says which version of the object it replaces, so of two processes that want it only one can have it. Who
stops writing (killed, or cut off) loses it to whoever has seen it unchanged for long enough; no clocks are compared.
"""

import json
import threading
import time
import uuid
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError

from mckd_ray.errors import StepError, StoreError
from mckd_ray.storage.objects import explained

LEASE_S = 30.0
"""How long others must see a lease unchanged before they take it."""
BEAT_S = 5.0
"""How often its holder writes it."""
POLL_S = 1.0
"""How often those who wait look."""
FREE = b""
"""What an object holds that nobody does."""


class Lease:
    """The lease `path`, for one process. The `patient` client waits for the store; the `brisk` one does not."""

    def __init__(self, uri: str, path: str, patient: Any, brisk: Any) -> None:
        """Nobody's yet."""
        self._uri, self._path, self._patient, self._brisk = uri, path, patient, brisk
        self._owner, self._beats = uuid.uuid4().hex, 0
        self._version: Any = None
        self._lost = False
        self._writing, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def acquire(self) -> None:
        """Return when this process holds it."""
        seen, unchanged = None, 0
        while not self._take(seen, unchanged * POLL_S >= LEASE_S):
            if seen is not None:
                time.sleep(POLL_S)
            now = self._look()
            # Looks are counted, and not seconds: while the store answers nobody, its holder cannot write it.
            unchanged = unchanged + 1 if now == seen else 0
            seen = now
        self._thread.start()

    def confirm(self) -> None:
        """Raise StepError if another process has taken it."""
        with self._writing:
            self._write(self._patient)
        if self._lost:
            raise StepError(
                f"another process took over {self._path}, as this one did not reach the store for {LEASE_S:.0f} s; "
                "the same command goes on from what that one does."
            )

    def release(self) -> None:
        """Let go of it; where the store can't be told, others notice after `LEASE_S`."""
        self._stop.set()
        self._thread.join()
        if not self._lost:
            try:
                with explained(self._uri):
                    obstore.put(self._brisk, self._path, FREE, mode=self._version)
            except (PreconditionError, FileNotFoundError, StoreError):
                pass

    def _take(self, seen: Any, stale: bool) -> bool:
        """Try to have it: by making it, or in the place of a version that was `seen` and is free or `stale`."""
        if seen is not None and seen[1] != FREE and not stale:
            return False
        mode = "create" if seen is None else seen[0]
        try:
            self._version = self._put(self._patient, mode)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            return self._is_mine()
        return True

    def _look(self) -> Any:
        """Its version and content; None if there is none."""
        try:
            with explained(self._uri):
                found = obstore.get(self._patient, self._path)
                return _version(found.meta), bytes(found.bytes())
        except FileNotFoundError:
            return None

    def _is_mine(self) -> bool:
        """Whether the last write did happen, though its answer was lost and it was made again."""
        seen = self._look()
        if seen is None or seen[1] != self._content():
            return False
        self._version = seen[0]
        return True

    def _beat(self) -> None:
        while not self._lost and not self._stop.wait(BEAT_S):
            try:
                with self._writing:
                    self._write(self._brisk)
            except StoreError:
                continue  # It does not answer now; there is time until others may take it.

    def _write(self, client: Any) -> None:
        if self._lost:
            return
        self._beats += 1
        try:
            self._version = self._put(client, self._version)
        except (PreconditionError, FileNotFoundError):
            self._lost = not self._is_mine()

    def _put(self, client: Any, mode: Any) -> Any:
        with explained(self._uri):
            return _version(obstore.put(client, self._path, self._content(), mode=mode))

    def _content(self) -> bytes:
        return json.dumps({"owner": self._owner, "beats": self._beats}).encode()


def _version(found: Any) -> dict[str, str]:
    """What names the version of an object in a condition; S3 knows no `version`, and GCS goes by it."""
    return {name: found[name] for name in ("e_tag", "version") if found[name] is not None}
