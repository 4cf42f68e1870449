"""A root in an object store: `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`. Each node has copies of what it needs.

A copy carries the version of its object in its time of modification, so it needs no book-keeping: a file whose time is
another one is not what the bucket has.
"""

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import obstore
from filelock import FileLock
from obstore.exceptions import AlreadyExistsError

from mckd_ray.errors import StoreError
from mckd_ray.storage.files import check_folder
from mckd_ray.storage.lease import LEASE_S, Lease
from mckd_ray.storage.objects import BRISK_S, PATIENCE_S, client, explained
from mckd_ray.storage.root import Root

CACHE = "MCKD_CACHE"
"""The environment variable of a node that says where it has its copies."""
AT_ONCE = 16
"""So many files are on their way together."""
PART_BYTES = 16 * 1024 * 1024
"""Larger files travel in parts of this size."""
GLANCE_S = 2.0
"""So old may be what is only shown."""
LOCKS = "locks"


class Bucket(Root):
    """A bucket, or what lies below a prefix in it. It must exist; the prefix need not."""

    interval_s = 5.0

    def __init__(self, uri: str, cache_folder: Path | None = None) -> None:
        """The root `uri`, with this node's copies below `cache_folder` (default: where the environment says)."""
        folder = (cache_folder or _cache_folder()).absolute()
        super().__init__(uri, folder / hashlib.sha256(uri.encode()).hexdigest()[:16])
        self._leases: dict[str, Lease] = {}
        self._glances: dict[str, tuple[float, Any]] = {}

    def __reduce__(self) -> tuple[Callable[[str], "Bucket"], tuple[str]]:
        """On another node, it has that node's copies."""
        return bucket_at, (self.uri,)

    @cached_property
    def _patient(self) -> Any:
        return client(self.uri, PATIENCE_S)

    @cached_property
    def _brisk(self) -> Any:
        return client(self.uri, BRISK_S)

    def read(self, path: str) -> str | None:
        """See `Root.read`."""
        return self._read(self._patient, path)

    def read_all(self, paths: Sequence[str]) -> list[str | None]:
        """See `Root.read_all`."""
        return _each(self.read, paths)

    def write(self, path: str, text: str) -> None:
        """See `Root.write`."""
        with explained(self.uri):
            obstore.put(self._patient, path, text.encode())

    def tell(self, path: str, text: str) -> None:
        """See `Root.tell`."""
        with contextlib.suppress(StoreError), explained(self.uri):
            obstore.put(self._brisk, path, text.encode())

    def glance(self, path: str) -> str | None:
        """See `Root.glance`."""
        text: str | None = self._glance(path, lambda: self._read(self._brisk, path))
        return text

    def here(self, path: Path | str) -> Path:
        """See `Root.here`."""
        below = self.relative(path)
        local = self.base / below
        with self._bringing(below):
            there = self._objects(below)
            for file in _files(local):
                if file.relative_to(self.base).as_posix() not in there:
                    file.unlink()
            _each(self._download, [name for name, found in there.items() if not _is_copy(self.base / name, found)])
        return local

    def keep(self, path: Path | str) -> None:
        """See `Root.keep`."""
        below = self.relative(path)
        there = self._objects(below)
        names = [file.relative_to(self.base).as_posix() for file in _files(self.base / below)]
        _each(self._upload, [name for name in names if not _is_copy(self.base / name, there.get(name))])

    def forget(self, path: Path | str) -> None:
        """See `Root.forget`."""
        below = self.relative(path)
        names = list(self._objects(below))
        if names:
            with explained(self.uri), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._patient, names)
        shutil.rmtree(self.base / below, ignore_errors=True)
        with contextlib.suppress(OSError):
            (self.base / below).unlink()

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """See `Root.lock`."""
        lease = Lease(self.uri, f"{LOCKS}/{name}", self._patient, self._brisk)
        lease.acquire()
        self._leases[name] = lease
        try:
            yield
        finally:
            del self._leases[name]
            lease.release()

    def confirm(self, name: str) -> None:
        """See `Root.confirm`."""
        if name in self._leases:
            self._leases[name].confirm()

    def busy(self, name: str) -> bool:
        """See `Root.busy`. Whose clock is far from the store's sees nobody."""
        lease = (self._glance(LOCKS, self._locks) or {}).get(f"{LOCKS}/{name}")
        if lease is None or not lease["size"]:
            return False
        written: datetime = lease["last_modified"]
        return (datetime.now(UTC) - written).total_seconds() < LEASE_S

    def check_readable(self) -> None:
        """See `Root.check_readable`."""
        with explained(self.uri):
            next(iter(obstore.list(self._brisk, LOCKS, chunk_size=1)), None)

    def check_writable(self) -> None:
        """See `Root.check_writable`. What locks rest on is tried as well."""
        probe = f".probe-{uuid.uuid4().hex}"
        with explained(self.uri):
            obstore.put(self._brisk, probe, b"x")
            try:
                obstore.put(self._brisk, probe, b"y", mode="create")
            except AlreadyExistsError:
                pass
            else:
                raise StoreError(
                    f"store.root '{self.uri}': it writes over what it is asked to make only if it is not there, "
                    "so nothing can be locked in it; take one that knows conditional writes (S3, GCS, newer MinIO)."
                )
            finally:
                obstore.delete(self._brisk, probe)
        check_folder(self.base, CACHE)

    def _read(self, using: Any, path: str) -> str | None:
        try:
            with explained(self.uri):
                return bytes(obstore.get(using, path).bytes()).decode(errors="replace")
        except FileNotFoundError:
            return None

    def _glance(self, path: str, look: Callable[[], Any]) -> Any:
        at, found = self._glances.get(path, (-GLANCE_S, None))
        if time.monotonic() - at >= GLANCE_S:
            with contextlib.suppress(StoreError):
                found = look()
            self._glances[path] = (time.monotonic(), found)
        return found

    def _locks(self) -> dict[str, Any]:
        with explained(self.uri):
            return {found["path"]: found for some in obstore.list(self._brisk, LOCKS) for found in some}

    def _objects(self, below: Path) -> dict[str, Any]:
        """What the bucket has of a file, or below a folder, by the path from the root."""
        name = below.as_posix()
        with explained(self.uri):
            try:
                return {name: obstore.head(self._patient, name)}
            except FileNotFoundError:
                return {found["path"]: found for some in obstore.list(self._patient, name) for found in some}

    def _download(self, name: str) -> None:
        local = self.base / name
        temporary = local.with_name(f".{local.name}.{uuid.uuid4().hex}")
        try:
            local.parent.mkdir(parents=True, exist_ok=True)
            with explained(self.uri), temporary.open("wb") as stream:
                found = obstore.get(self._patient, name)
                for part in found.stream(PART_BYTES):
                    stream.write(part)
            _mark(temporary, found.meta)
            temporary.replace(local)
        except OSError as error:
            raise StoreError(f"{local}: the copy of {name} can't be made ({error}); see to {CACHE}.") from error
        finally:
            temporary.unlink(missing_ok=True)

    def _upload(self, name: str) -> None:
        with explained(self.uri):
            kept = obstore.put(self._patient, name, self.base / name, chunk_size=PART_BYTES)
        _mark(self.base / name, kept)

    @contextmanager
    def _bringing(self, below: Path) -> Iterator[None]:
        """Be the only process of this node that brings this; the next one finds it there."""
        path = self.base / ".bringing" / hashlib.sha256(below.as_posix().encode()).hexdigest()[:16]
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path):
            yield


@cache
def bucket_at(uri: str) -> Bucket:
    """The root `uri`, one for the whole process."""
    return Bucket(uri)


def _cache_folder() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(CACHE) or Path(caches) / "mckd_ray")


def _files(path: Path) -> list[Path]:
    """A file, or those below a folder; what is being written has a name that begins with a dot."""
    if path.is_file():
        return [path]
    return [file for file in path.rglob("[!.]*") if file.is_file()]


def _each(work: Callable[[str], Any], names: Iterable[str]) -> list[Any]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(work, names))


def _mark(path: Path, version: Any) -> None:
    """Say that a file is the copy of this version of its object."""
    moment = _moment(version)
    os.utime(path, ns=(moment, moment))


def _is_copy(path: Path, version: Any) -> bool:
    return version is not None and path.is_file() and path.stat().st_mtime_ns == _moment(version)


def _moment(version: Any) -> int:
    """The moment that stands for a version, in nanoseconds; before 2002, so that no write gives it to a file."""
    digest = hashlib.sha256(str(version["e_tag"]).encode()).digest()
    return int.from_bytes(digest[:8]) % 10**15 * 1000  # Not every file system has more than microseconds.
