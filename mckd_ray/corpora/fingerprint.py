"""The identity of a corpus: a digest of what determines its content, and of nothing else."""

import hashlib
import json
from pathlib import Path
from typing import Any

from mckd_ray.config import CorpusConfig, SourceConfig
from mckd_ray.corpora import builtin, locate
from mckd_ray.corpora.readers import READERS_VERSION
from mckd_ray.errors import DataError


def fingerprint(config: CorpusConfig, task_name: str) -> str:
    """SHA-256 over the bytes of the corpus's files by split, its options and the readers' version, in hexadecimal.

    Where the files lie does not matter; reads them, but parses nothing. Raises DataError for what is missing.
    """
    parts: dict[str, Any] = {"task": task_name, "seed": config.seed}
    if config.format == "builtin":
        parts |= {"version": builtin.GRAMMAR_VERSION, "sizes": builtin.sizes(config), "longest": config.max_tokens}
    else:
        splits = [split for split in locate.SPLITS if (split, config.dev) != ("dev", 0)]
        parts |= {"source": _source(config, splits)}
        parts |= {"draws": [config.labelled, config.pool, config.dev, config.test]}
    if config.held_out:
        parts |= {"held_out": config.held_out}
    if config.general:
        parts |= {"general": _general(config)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _general(config: CorpusConfig) -> dict[str, Any]:
    general = config.general
    assert general is not None  # noqa: S101 - the caller looked
    if general.format == "builtin":
        rows = general.rows or builtin.GENERAL_ROWS
        return {"version": builtin.GRAMMAR_VERSION, "rows": rows, "longest": general.max_tokens}
    return {"source": _source(general, ["train"]), "rows": general.rows}


def _source(config: SourceConfig, splits: list[str]) -> dict[str, Any]:
    options = {"format": config.format, "fields": dict(config.fields), "max_tokens": config.max_tokens}
    if hub := locate.hub_name(config):
        content: Any = [*hub, dict(config.files)]
    else:
        content = {split: [_digest(config, path) for path in locate.files_of(config, split)] for split in splits}
    return options | {"version": READERS_VERSION, "content": content}


def _digest(config: SourceConfig, path: Path) -> str:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    # The stem of a file of trees is part of its ids.
    return f"{path.stem}:{digest}" if config.format == "penn" else digest
