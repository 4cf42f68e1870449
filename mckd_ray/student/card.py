"""`student.json`: what a checkpoint folder says of the student in it, so that the folder is enough to load it."""

import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import mckd_ray
from mckd_ray.errors import ModelError

CARD = "student.json"
CONVERTED = "ctranslate2-"
"""What begins the names of the folders, in that of a student, with what an engine has made of it."""


def versions() -> dict[str, str]:
    """The versions of what trains students here."""
    return {"mckd_ray": mckd_ray.__version__} | {
        name: version(name) for name in ("transformers", "tokenizers", "torch")
    }


@dataclass(frozen=True)
class Card:
    """What every student's card says; each kind adds what it needs."""

    kind: str
    task: str
    linearisation: str
    constrain: bool
    versions: dict[str, str] = field(default_factory=versions, kw_only=True)

    def write(self, folder: Path) -> None:
        """Write the card into `folder`."""
        (folder / CARD).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path, kind: str) -> Self:
        """The card of the student of this `kind` in `folder`. Raises ModelError if there is none, or another kind's."""
        values = read_card(folder)
        if values["kind"] != kind:
            raise ModelError(f"{folder}: is a student of the kind '{values['kind']}', and {kind} is wanted.")
        try:
            return cls(**values)
        except TypeError as error:
            raise _unreadable(folder, error) from error


def own_files(folder: Path) -> list[Path]:
    """The files of the model in `folder`, sorted; without what an engine has made of them, which changes no answer."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not _made(path.relative_to(folder)))


def engine_files(folder: Path) -> list[Path]:
    """The files that engines have made of the student in `folder`, sorted, without locks and unfinished ones."""
    return sorted(path for path in folder.glob(f"{CONVERTED}*/**/*") if path.is_file())


def _made(path: Path) -> bool:
    return path.parts[0].removeprefix(".").startswith(CONVERTED)


def read_card(folder: Path) -> dict[str, Any]:
    """What the student in `folder` says of itself, such as its `kind`. Raises ModelError if there is none."""
    try:
        values = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(folder, error) from error
    if not isinstance(values, dict):
        raise _unreadable(folder, "it is not a JSON object")
    if not isinstance(values.get("kind"), str):
        raise _unreadable(folder, "it has no kind")
    return values


def _unreadable(folder: Path, reason: object) -> ModelError:
    return ModelError(f"{folder}: is not a student that was trained here: its {CARD} can't be read ({reason}).")
