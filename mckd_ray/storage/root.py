"""What a store lies on: a root, and places below it whose names hold on every node."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


class Root(ABC):
    """A folder that all nodes share, or a bucket with a copy of what is needed on each node.

    Paths are relative to it; those of this node's own files below it are taken as well. It pickles, and is then the
    same root on another node. Where it cannot be reached in time, StoreError says so.
    """

    interval_s: float
    """How often it may be told what is only of interest for the moment."""

    def __init__(self, uri: str, base: Path) -> None:
        """A root called `uri` (the absolute path of a folder, or a URI); its files on this node are in `base`."""
        self.uri, self.base = uri, base

    def __eq__(self, other: object) -> bool:
        """Whether `other` is the same root."""
        return isinstance(other, Root) and self.uri == other.uri

    def __hash__(self) -> int:
        """That of what it is called."""
        return hash(self.uri)

    def relative(self, path: Path | str) -> Path:
        """A path below the root, from one that is or from that of this node's own file."""
        return Path(path).relative_to(self.base) if Path(path).is_absolute() else Path(path)

    @abstractmethod
    def read(self, path: str) -> str | None:
        """The text of a small file as it is now; None if there is none."""

    @abstractmethod
    def read_all(self, paths: Sequence[str]) -> list[str | None]:
        """`read` of each of `paths`."""

    @abstractmethod
    def write(self, path: str, text: str) -> None:
        """Write the text of a small file, all or nothing."""

    @abstractmethod
    def tell(self, path: str, text: str) -> None:
        """As `write`, for what nothing rests on: where it can't be done at once, it is left."""

    @abstractmethod
    def glance(self, path: str) -> str | None:
        """As `read`, for what is only shown: it may be a few seconds old, or missing."""

    @abstractmethod
    def here(self, path: Path | str) -> Path:
        """The file or folder on this node, exactly as the root has it; it is brought where this node lacks it.

        What nobody has kept is not there then.
        """

    @abstractmethod
    def keep(self, path: Path | str) -> None:
        """Have the root keep what this node has of a file or folder. What others kept of it stays."""

    @abstractmethod
    def forget(self, path: Path | str) -> None:
        """Delete a file or folder, if it is there."""

    @abstractmethod
    def lock(self, name: str) -> AbstractContextManager[None]:
        """Be the only process that holds `name`, wherever others are; they wait.

        The death of a process lets go of what it holds, at once or after some seconds.
        """

    @abstractmethod
    def confirm(self, name: str) -> None:
        """Raise StepError if `name`, which this process holds, has been taken over by another."""

    @abstractmethod
    def busy(self, name: str) -> bool:
        """Whether a process holds `name` now."""

    @abstractmethod
    def check_readable(self) -> None:
        """Raise StoreError, without much patience, if it cannot be reached. A folder that is not there is empty."""

    @abstractmethod
    def check_writable(self) -> None:
        """Raise StoreError unless the root can be written, and has room."""


@dataclass(frozen=True)
class Place:
    """A file or folder below a root, as every node understands it."""

    root: Root
    below: str
    """Its path from the root."""

    def __truediv__(self, name: str) -> "Place":
        """What is called `name` in this folder."""
        return Place(self.root, f"{self.below}/{name}")

    def __str__(self) -> str:
        """Its whole path or URI."""
        return f"{self.root.uri}/{self.below}"

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.below).name

    @property
    def path(self) -> Path:
        """Where it is on this node, if it is there at all; for writing it."""
        return self.root.base / self.below

    def here(self) -> Path:
        """See `Root.here`."""
        return self.root.here(self.below)

    def keep(self) -> None:
        """See `Root.keep`."""
        self.root.keep(self.below)

    def forget(self) -> None:
        """See `Root.forget`."""
        self.root.forget(self.below)

    def read(self) -> str | None:
        """See `Root.read`."""
        return self.root.read(self.below)

    def write(self, text: str) -> None:
        """See `Root.write`."""
        self.root.write(self.below, text)

    def tell(self, text: str) -> None:
        """See `Root.tell`."""
        self.root.tell(self.below, text)

    def glance(self) -> str | None:
        """See `Root.glance`."""
        return self.root.glance(self.below)

    def lock(self) -> AbstractContextManager[None]:
        """See `Root.lock`."""
        return self.root.lock(self.below.replace("/", "-"))
