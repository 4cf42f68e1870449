"""A root that is a folder: of this machine, or on a file system that all nodes mount at the same path."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mckd_ray.errors import StoreError
from mckd_ray.storage.files import check_folder, write_text
from mckd_ray.storage.root import Root


class Folder(Root):
    """A folder. Every node has the files themselves, so there is nothing to bring or to keep."""

    interval_s = 0.5

    def __init__(self, folder: Path) -> None:
        """The root `folder`, an absolute path, which need not exist yet."""
        super().__init__(str(folder), folder)

    def read(self, path: str) -> str | None:
        """See `Root.read`."""
        try:
            return (self.base / path).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.base / path}: cannot be read ({error.strerror}).") from error

    def read_all(self, paths: Sequence[str]) -> list[str | None]:
        """See `Root.read_all`."""
        return [self.read(path) for path in paths]

    def write(self, path: str, text: str) -> None:
        """See `Root.write`."""
        write_text(self.base / path, text)

    tell = write
    glance = read

    def here(self, path: Path | str) -> Path:
        """See `Root.here`."""
        return self.base / path

    def keep(self, path: Path | str) -> None:
        """See `Root.keep`."""

    def forget(self, path: Path | str) -> None:
        """See `Root.forget`."""
        if (self.base / path).is_dir():
            shutil.rmtree(self.base / path, ignore_errors=True)
        else:
            (self.base / path).unlink(missing_ok=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """See `Root.lock`."""
        path = self._lock_file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path):
            yield

    def confirm(self, name: str) -> None:
        """See `Root.confirm`; nobody takes a lock from a process that lives."""

    def busy(self, name: str) -> bool:
        """See `Root.busy`."""
        path = self._lock_file(name)
        if not path.exists():
            return False
        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            return True

    def check_readable(self) -> None:
        """See `Root.check_readable`."""

    def check_writable(self) -> None:
        """See `Root.check_writable`."""
        check_folder(self.base, "store.root")

    def _lock_file(self, name: str) -> Path:
        return self.base / "locks" / f"{name}.lock"
