"""A step's identity: a digest over what changes its result, and over nothing else."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mckd_ray.errors import MckdError
from mckd_ray.student.card import own_files

DIGEST_LENGTH = 16


def digest_of(value: object) -> str:
    """A short digest of plain data. Raises MckdError for anything that has no canonical form (objects, NaN, sets)."""
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def model_identity(name: str) -> str:
    """What a model name means: the name itself for one on a hub, a digest of the content for a local file or folder."""
    path = Path(name)
    if not name or not path.exists():
        return name
    files = [path] if path.is_file() else own_files(path)
    return _content(path, tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache
def _content(path: Path, files: tuple[tuple[Path, int, int], ...]) -> str:
    """A digest of the content; read once for all steps and trials of a process as long as no file changes."""
    total = hashlib.sha256()
    for file, _, _ in files:
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
        total.update(file.relative_to(path).as_posix().encode())
    return f"sha256:{total.hexdigest()[:DIGEST_LENGTH]}"


def located(name: str) -> str:
    """The model name as any process of a run can use it, whatever folder it works in: a local path made absolute."""
    path = Path(name)
    return str(path.absolute()) if name and path.exists() else name


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise MckdError(f"a step's settings may only have strings as keys, not {list(value)!r}")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise MckdError(f"a step's identity cannot hold {value!r} of type {type(value).__name__}: only plain data")
