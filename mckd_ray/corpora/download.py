"""`mckd data get`: from a published corpus at a pinned commit to checked files in our own row format."""

import hashlib
import json
import shutil
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mckd_ray.corpora import penn
from mckd_ray.corpora.catalogue import Published, Split
from mckd_ray.corpora.locate import SLU_FILES, data_folder
from mckd_ray.corpora.readers import slu_rows
from mckd_ray.corpora.rows import Row
from mckd_ray.errors import DataError

ORIGIN = "https://raw.githubusercontent.com"

_TIMEOUT_S = 60
_ATTEMPTS = 3


def get(corpus: Published, say: Callable[[str], None], origin: str = ORIGIN) -> Path:
    """Download `corpus` and write train.jsonl, dev.jsonl and test.jsonl where `data:NAME` looks; returns that folder.

    The files are the same bytes for everyone: each is checked against its SHA-256 before anything is kept. Files that
    are already there and right are left as they are. `say` gets the licence and the progress. Raises DataError.
    """
    folder = data_folder(corpus.name)
    say(f"{corpus.title}. Licence: {corpus.licence}. Please cite {corpus.cite}.")
    say(f"Source: https://github.com/{corpus.repository} at commit {corpus.commit}.")
    if folder.exists():
        _check_existing(corpus, folder)
        say(f"{folder}: already there, checksums verified.")
        return folder
    work = folder.with_name(f".{corpus.name}.{uuid.uuid4().hex}")
    try:
        (work / "rows").mkdir(parents=True)
        for name, split in corpus.splits.items():
            say(f"{corpus.name}: fetching {name} ...")
            rows = _rows(corpus, name, split, work, origin)
            _write_checked(rows, work / "rows" / f"{name}.jsonl", split.sha256, corpus)
        (work / "rows").rename(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say(f"{folder}: written, checksums verified.")
    return folder


def _check_existing(corpus: Published, folder: Path) -> None:
    for name, split in corpus.splits.items():
        path = folder / f"{name}.jsonl"
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != split.sha256:
            raise DataError(
                f"{path}: is not what `mckd data get {corpus.name}` writes; move {folder} away and try again."
            )


def _rows(corpus: Published, name: str, split: Split, work: Path, origin: str) -> Iterator[dict[str, Any]]:
    """The rows of one split, in our format."""
    for document, kept in split.documents():
        if corpus.format == "penn":
            path = _fetch(corpus, corpus.path.format(document=document), work, origin)
            rows = penn.rows(path, prefix=f"{corpus.name}-")
        else:
            files = [_fetch(corpus, corpus.path.format(folder=document, file=file), work, origin) for file in SLU_FILES]
            rows = slu_rows(files, f"{corpus.name}-{name}")
        for place, row in enumerate(rows, 1):
            if place in kept:
                yield _values(row, with_section=corpus.name == "craft")


def _values(row: Row, with_section: bool) -> dict[str, Any]:
    if row.problem:
        raise DataError(f"{row.where}: {row.problem}; this is not the file that was published.")
    return {name: value for name, value in row.values.items() if with_section or name != "section"}


def _write_checked(rows: Iterator[dict[str, Any]], path: Path, sha256: str, corpus: Published) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    found = hashlib.sha256(text.encode()).hexdigest()
    if found != sha256:
        raise DataError(
            f"{corpus.name}/{path.name}: has the SHA-256 {found}, not {sha256}: what was downloaded from "
            f"{corpus.repository} is not what was published. Nothing was kept; try again, or report it."
        )
    path.write_text(text, encoding="utf-8")


def _fetch(corpus: Published, path: str, work: Path, origin: str) -> Path:
    """The local copy of a file of the repository; `archive.zip!member` is a file inside an archive, fetched once."""
    outer, _, member = path.partition("!")
    local = work / "source" / outer
    if not local.exists():
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(_download(f"{origin}/{corpus.repository}/{corpus.commit}/{outer}"))
    if not member:
        return local
    try:
        with zipfile.ZipFile(local) as archive:
            return Path(archive.extract(member, work / "source"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{outer}: is not the archive that was published ({error}).") from error


def _download(url: str) -> bytes:
    """The bytes at `url`; what may pass, such as a lost connection, is tried again. Raises DataError."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 - the origin is ours
                content: bytes = response.read()
                return content
        except urllib.error.HTTPError as error:
            raise DataError(f"{url}: the server answered {error.code} {error.reason}.") from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            if attempt == _ATTEMPTS:
                raise DataError(
                    f"{url}: cannot be reached ({reason}). Is there a network? Without one, copy the folder from a "
                    "machine that has it, and name its parent in MCKD_DATA."
                ) from error
            time.sleep(attempt)
    raise AssertionError("unreachable")
