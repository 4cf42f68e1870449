"""Which model `RUN` stands for: a run's folder, a step, or an exported folder; and what is known of that model."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mckd_ray.errors import ModelError, nearest
from mckd_ray.runner.run import PLAN, RESULT
from mckd_ray.student.card import CARD, own_files

MANIFEST = "mckd.json"
"""What an exported folder says of its model."""
STORE = Path("runs")
"""Where a step's digest is looked up: the default root of the store."""
CHECKPOINT = "model"
"""The folder of the trained student in that of its step."""
_TRAINED = re.compile(r"train (?P<system>\S+) seed (?P<seed>\d+)")
_STAGED = re.compile(r"mckd-(\d+)")
_DIGEST = re.compile(r"(train-)?[0-9a-f]{6,64}")


@dataclass(frozen=True)
class Model:
    """A trained student that can be served."""

    folder: Path
    """Where `mckd_ray.student.load` finds it."""
    name: str
    """`RUN/SYSTEM`, the step's key, or the folder's name."""
    task: str
    kind: str
    linearisation: str
    constrained: bool
    digest: str
    """Of the folder's content: two models with one digest give the same answers."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """What an exported folder, or the run, says beside: system, scores, corpus, base model."""

    @property
    def id(self) -> str:
        """`NAME@DIGEST`: changes with the model, so that a client can tell which one answered."""
        return f"{self.name}@{self.digest}"


def find(run: str, system: str | None = None) -> Model:
    """The model that `run` stands for; of a run's folder, the final student of `system`.

    By default that is the method's student of the last stage, else `kd`, else `sft`; of several seeds, the first: not
    the best one on test, which nobody who wants a parser could know. Raises ModelError.
    """
    folder = Path(run)
    if (folder / PLAN).is_file():
        return _of_run(folder, system)
    if system is not None:
        raise ModelError(f"--system {system}: {run} is not a run's folder, so there is no system to choose.")
    if (folder / CARD).is_file():
        return _of_folder(folder, folder.resolve().name)
    if (folder / CHECKPOINT / CARD).is_file():
        return _of_folder(folder / CHECKPOINT, folder.resolve().name)
    if _DIGEST.fullmatch(run):
        return _of_digest(run)
    raise ModelError(
        f"{run}: is no model; give a run's folder such as runs/demo, the folder or digest of a `train` step, or a "
        "folder that `mckd export` wrote."
    )


def _of_digest(digest: str) -> Model:
    found = sorted((STORE / "steps").glob(f"train-{digest.removeprefix('train-')}*"))
    if len(found) != 1:
        many = f"{len(found)} training steps begin so" if found else "no training step has this digest"
        raise ModelError(f"{digest}: {many} in {STORE / 'steps'}; give the step's folder.")
    if not (found[0] / CHECKPOINT / CARD).is_file():
        raise ModelError(f"{found[0]}: this step has not trained its student to the end.")
    return _of_folder(found[0] / CHECKPOINT, found[0].name)


def _of_run(folder: Path, system: str | None) -> Model:
    plan = _read_json(folder / PLAN)
    store = Path(plan["store"])
    steps = (store if store.is_dir() else folder.parent) / "steps"
    keys: dict[str, str] = {}
    for step in plan["steps"]:
        match = _TRAINED.fullmatch(step["name"])
        if step["kind"] == "train" and match:
            keys.setdefault(match["system"], step["key"])
    chosen = _choose(folder, list(keys), system)
    checkpoint = steps / keys[chosen] / CHECKPOINT
    if not (checkpoint / CARD).is_file():
        raise ModelError(f"{folder}: its student '{chosen}' is not trained yet; run the experiment to its end first.")
    facts = {"run": folder.resolve().name, "system": chosen, "step": keys[chosen], **_facts(folder, plan, chosen)}
    return _of_folder(checkpoint, f"{facts['run']}/{chosen}", facts)


def _choose(folder: Path, systems: list[str], system: str | None) -> str:
    if system is not None and system not in systems:
        raise ModelError(f"--system {system}: the run {folder} trains no such student.{nearest(system, systems)}")
    stages = {int(match[1]): name for name in systems if (match := _STAGED.fullmatch(name))}
    default = stages[max(stages)] if stages else next((name for name in ("kd", "sft") if name in systems), None)
    chosen = system or default
    if chosen is None:
        raise ModelError(f"{folder}: the run trains no student, so there is nothing to serve.")
    return chosen


def _facts(folder: Path, plan: Mapping[str, Any], system: str) -> dict[str, Any]:
    """What the run's result says of the system, if it has one yet."""
    named = f"train {system} "
    trained: Mapping[str, Any] = next((s["settings"] for s in plan["steps"] if s["name"].startswith(named)), {})
    facts: dict[str, Any] = {"base_model": trained.get("student", {}).get("model", "")}
    if (folder / RESULT).is_file():
        result = _read_json(folder / RESULT)
        metrics = result.get("systems", {}).get(system, {})
        facts |= {
            "teacher": result.get("teacher"),
            "primary": result.get("primary"),
            "scores": {name: value["values"][0] for name, value in metrics.items() if _is_metric(value)},
            "count": metrics.get("count"),
            "coverage": metrics.get("coverage"),
            "rows": result.get("corpus", {}).get("rows", {}),
        }
    return facts


def _is_metric(value: object) -> bool:
    return isinstance(value, dict) and "values" in value


def _of_folder(folder: Path, name: str, facts: Mapping[str, Any] | None = None) -> Model:
    card = _read_json(folder / CARD)
    manifest = dict(facts or {})
    if (folder / MANIFEST).is_file():
        manifest = _read_json(folder / MANIFEST)
        name = manifest.get("name", name)
    try:
        return Model(
            folder=folder.resolve(),
            name=name,
            task=card["task"],
            kind=card["kind"],
            linearisation=card["linearisation"],
            constrained=bool(card["constrain"]),
            digest=content_digest(folder),
            manifest=manifest,
        )
    except KeyError as error:
        raise ModelError(f"{folder / CARD}: does not say {error}; train or export the student anew.") from None


def model_files(folder: Path) -> list[Path]:
    """The files of the model in `folder` itself, sorted: all but what an export adds."""
    added = {folder / MANIFEST, folder / "README.md"}
    return [path for path in own_files(folder) if path not in added]


def content_digest(folder: Path) -> str:
    """A digest of the model's files: names and bytes."""
    digest = hashlib.sha256()
    for path in model_files(folder):
        with path.open("rb") as stream:
            digest.update(f"{path.relative_to(folder)}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: can't be read as JSON ({error}).") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: holds no JSON object.")
    return value
