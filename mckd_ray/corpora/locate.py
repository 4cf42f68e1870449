"""Where a corpus lies: which files hold which split of a source."""

import os
from pathlib import Path

from mckd_ray.config import DATA_SCHEME, SourceConfig
from mckd_ray.corpora.splits import split_of_document
from mckd_ray.errors import DataError

SPLITS = ("train", "dev", "test")
SLU_FILES = ("seq.in", "seq.out", "label")
TREE_SUFFIXES = (".tree", ".mrg")

# What others call our splits.
_NAMES = {"train": ("train",), "dev": ("dev", "valid", "validation"), "test": ("test",)}


def root(config: SourceConfig) -> Path:
    """The folder of the source, where `data:NAME` is a published corpus. Raises DataError if it is not there."""
    if not config.path:
        raise DataError(f"corpus.path is not set; format '{config.format}' wants a folder there, or data:NAME.")
    path = Path(config.path)
    if config.path.startswith(DATA_SCHEME):
        path = data_folder(config.path.removeprefix(DATA_SCHEME))
    if not path.exists():
        raise _missing(config, path)
    return path


def data_folder(name: str) -> Path:
    """Where the published corpus `name` lies, or will lie: below $MCKD_DATA, or `data`."""
    return Path(os.environ.get("MCKD_DATA") or "data") / name


def hub_name(config: SourceConfig) -> tuple[str, str] | None:
    """The name and revision if the source is a dataset of the Hugging Face hub, given as `owner/name@revision`.

    None for a folder. The revision is part of the content's identity, so a name without one is a DataError.
    """
    if config.format != "huggingface" or config.path.startswith(DATA_SCHEME) or Path(config.path).exists():
        return None
    name, at, revision = config.path.partition("@")
    if not (name and at and revision):
        raise DataError(
            f"corpus.path: '{config.path}' is neither a folder nor a Hugging Face dataset with its revision; "
            "write owner/name@COMMIT, so that the results name what they were made from."
        )
    return name, revision


def files_of(config: SourceConfig, split: str) -> list[Path]:
    """The files that hold `split`, in reading order. Raises DataError that says what is missing and what to do."""
    folder = root(config)
    if config.format == "slu":
        inside = _one_of(config, folder, split, [(name, "") for name in _NAMES[split]])
        return [_existing(config, inside / name) for name in SLU_FILES]
    if config.format == "huggingface":
        inside = _one_of(config, folder, split, [(name, "") for name in _NAMES[split]])
        return _some(sorted(inside.glob("*.arrow")), f"{inside}: holds no .arrow file of a saved dataset.")
    if config.format == "penn":
        return _tree_files(config, folder, split)
    return [_one_of(config, folder, split, [(name, f".{config.format}") for name in _NAMES[split]])]


def place(config: SourceConfig, split: str) -> str:
    """Where a split is, for messages: its first file, or the name on the hub."""
    return config.path if hub_name(config) else str(files_of(config, split)[0])


def _tree_files(config: SourceConfig, folder: Path, split: str) -> list[Path]:
    """Below the split's own folder or file; without one, the documents of the whole folder whose hash falls to it."""
    has_splits = config.files or any((folder / name).exists() for name in _NAMES["train"])
    inside = _one_of(config, folder, split, [(name, "") for name in _NAMES[split]]) if has_splits else folder
    if inside.is_file():
        return [inside]
    found = sorted((path for path in inside.rglob("*") if path.suffix in TREE_SUFFIXES), key=lambda path: path.stem)
    if not has_splits:
        found = [path for path in found if split_of_document(path.stem) == split]
    return _some(found, f"{inside}: holds no {' or '.join(TREE_SUFFIXES)} file for split {split}.")


def _one_of(config: SourceConfig, folder: Path, split: str, names: list[tuple[str, str]]) -> Path:
    if split in config.files:
        return _existing(config, folder / config.files[split])
    candidates = [folder / f"{name}{suffix}" for name, suffix in names]
    if folder.is_file():
        raise DataError(f"{folder}: is a file; corpus.path is the folder that holds {candidates[0].name}.")
    return next((path for path in candidates if path.exists()), None) or _existing(config, candidates[0])


def _existing(config: SourceConfig, path: Path) -> Path:
    if not path.exists():
        raise _missing(config, path)
    return path


def _some(paths: list[Path], otherwise: str) -> list[Path]:
    if not paths:
        raise DataError(otherwise)
    return paths


def _missing(config: SourceConfig, path: Path) -> DataError:
    if config.path.startswith(DATA_SCHEME):
        name = config.path.removeprefix(DATA_SCHEME)
        hint = f"`mckd data get {name}` downloads it; MCKD_DATA names the folder that holds all corpora."
    else:
        hint = (
            f"It is wanted as '{config.format}' of corpus.path: {config.path}; corpus.files names a split otherwise, "
            "and corpus.dev: 0 goes without dev."
        )
    return DataError(f"{path}: does not exist. {hint}")
