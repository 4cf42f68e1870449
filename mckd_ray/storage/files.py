"""Text files on this node's disk, all or nothing."""

import json
import os
import shutil
import uuid
from pathlib import Path

from mckd_ray.errors import StoreError

LEAST_FREE_BYTES = 50 * 1024 * 1024


def as_json(value: object) -> str:
    """`value` as the JSON that a store's files hold."""
    return json.dumps(value, indent=1, ensure_ascii=False)


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON to `path`, all or nothing."""
    write_text(path, as_json(value))


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def check_folder(folder: Path, name: str) -> None:
    """Raise StoreError unless `folder`, which the setting `name` names, can be made and written, and has room."""
    probe = folder / f".probe-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StoreError(
            f"{name} '{folder}' cannot be written ({error.strerror}); name a folder that can be."
        ) from error
    if free < LEAST_FREE_BYTES:
        raise StoreError(
            f"{name} '{folder}' has {free // 2**20} MiB free, but {LEAST_FREE_BYTES // 2**20} are needed; "
            "free some or name another folder."
        )
