"""Where a store's files lie: in a folder that all nodes share, or in a bucket of which each node has copies."""

from pathlib import Path

from mckd_ray.errors import StoreError
from mckd_ray.storage.folder import Folder
from mckd_ray.storage.root import Place, Root

SCHEMES = ("s3", "gs")


def root_at(where: Path | str) -> Root:
    """The root at a folder or URI. Raises StoreError for a URI of another kind than `SCHEMES`."""
    if not is_uri(where):
        return Folder(Path(where).absolute())
    scheme, _, bucket = str(where).partition("://")
    if scheme not in SCHEMES or not bucket.strip("/"):
        allowed = " or ".join(f"{name}://BUCKET/PREFIX" for name in SCHEMES)
        raise StoreError(f"'{where}' is no place for a store; give a folder, or a URI such as {allowed}.")
    from mckd_ray.storage.bucket import bucket_at

    return bucket_at(str(where).rstrip("/"))


def place_at(where: Path | str) -> Place:
    """The file or folder at a path or URI. Raises StoreError for a URI whose bucket cannot be reached now."""
    if not is_uri(where):
        path = Path(where).resolve()
        return Place(root_at(path.parent), path.name)
    scheme, _, path_in_bucket = str(where).partition("://")
    parent, _, name = path_in_bucket.rstrip("/").rpartition("/")
    root = root_at(f"{scheme}://{parent}")
    root.check_readable()
    return Place(root, name)


def is_uri(where: Path | str) -> bool:
    """Whether it is the URI of something in a bucket, and no path."""
    return "://" in str(where)
