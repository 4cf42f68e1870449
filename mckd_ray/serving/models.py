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
from mckd_ray.storage import is_uri, place_at, root_at
from mckd_ray.storage.root import Place
from mckd_ray.student.card import CARD, own_files

MANIFEST = "mckd.json"
"""What an exported folder says of its model."""
STORE = Path("runs/steps")
"""Where a step's digest is looked up: in the default root of the store."""
CHECKPOINT = "model"
"""The folder of the trained student in that of its step."""
_TRAINED = re.compile(r"train (?P<system>\S+) seed (?P<seed>\d+)")
_STAGED = re.compile(r"mckd-(\d+)")
_DIGEST = re.compile(r"(train-)?[0-9a-f]{6,64}")


@dataclass(frozen=True)
class Model:
    """A trained student that can be served."""

    place: Place
    """Where it is, as every node understands it."""
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
    def folder(self) -> Path:
        """Where `mckd_ray.student.load` finds it on this node. From a bucket it is brought there first."""
        return self.place.here()

    @property
    def id(self) -> str:
        """`NAME@DIGEST`: changes with the model, so that a client can tell which one answered."""
        return f"{self.name}@{self.digest}"


def find(run: str, system: str | None = None) -> Model:
    """The model that `run` stands for; of a run's folder, the final student of `system`.

    By default that is the method's student of the last stage, else `kd`, else `sft`; of several seeds, the first: not
    the best one on test, which nobody who wants a parser could know. Raises ModelError.
    """
    place = place_at(run)
    if (place / PLAN).read() is not None:
        return _of_run(run, place, system)
    if system is not None:
        raise ModelError(f"--system {system}: {run} is not a run's folder, so there is no system to choose.")
    for folder in (place, place / CHECKPOINT):
        if (folder / CARD).read() is not None:
            return _of_folder(folder, place.name)
    if _DIGEST.fullmatch(run):
        return _of_digest(run)
    raise ModelError(
        f"{run}: is no model; give a run's folder such as runs/demo, the folder or digest of a `train` step, or a "
        "folder that `mckd export` wrote."
    )


def _of_digest(digest: str) -> Model:
    found = sorted(STORE.glob(f"train-{digest.removeprefix('train-')}*"))
    if len(found) != 1:
        many = f"{len(found)} training steps begin so" if found else "no training step has this digest"
        raise ModelError(f"{digest}: {many} in {STORE}; give the step's folder.")
    if not (found[0] / CHECKPOINT / CARD).is_file():
        raise ModelError(f"{found[0]}: this step has not trained its student to the end.")
    return _of_folder(place_at(found[0]) / CHECKPOINT, found[0].name)


def _of_run(folder: str, place: Place, system: str | None) -> Model:
    plan = _read_json(place / PLAN)
    # A run's folder lies in its store, so both may have been moved; or it has been moved alone.
    store = place.root
    if not is_uri(folder) and (is_uri(plan["store"]) or Path(plan["store"]).is_dir()):
        store = root_at(plan["store"])
    keys: dict[str, str] = {}
    for step in plan["steps"]:
        match = _TRAINED.fullmatch(step["name"])
        if step["kind"] == "train" and match:
            keys.setdefault(match["system"], step["key"])
    chosen = _choose(folder, list(keys), system)
    checkpoint = Place(store, f"steps/{keys[chosen]}/{CHECKPOINT}")
    if (checkpoint / CARD).read() is None:
        raise ModelError(f"{folder}: its student '{chosen}' is not trained yet; run the experiment to its end first.")
    facts = {"run": place.name, "system": chosen, "step": keys[chosen], **_facts(place, plan, chosen)}
    return _of_folder(checkpoint, f"{facts['run']}/{chosen}", facts)


def _choose(folder: str, systems: list[str], system: str | None) -> str:
    if system is not None and system not in systems:
        raise ModelError(f"--system {system}: the run {folder} trains no such student.{nearest(system, systems)}")
    stages = {int(match[1]): name for name in systems if (match := _STAGED.fullmatch(name))}
    default = stages[max(stages)] if stages else next((name for name in ("kd", "sft") if name in systems), None)
    chosen = system or default
    if chosen is None:
        raise ModelError(f"{folder}: the run trains no student, so there is nothing to serve.")
    return chosen


def _facts(place: Place, plan: Mapping[str, Any], system: str) -> dict[str, Any]:
    """What the run's result says of the system, if it has one yet."""
    named = f"train {system} "
    trained: Mapping[str, Any] = next((s["settings"] for s in plan["steps"] if s["name"].startswith(named)), {})
    facts: dict[str, Any] = {"base_model": trained.get("student", {}).get("model", "")}
    if (place / RESULT).read() is not None:
        result = _read_json(place / RESULT)
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


def _of_folder(place: Place, name: str, facts: Mapping[str, Any] | None = None) -> Model:
    card = _read_json(place / CARD)
    manifest = dict(facts or {})
    if (place / MANIFEST).read() is not None:
        manifest = _read_json(place / MANIFEST)
        name = manifest.get("name", name)
    try:
        return Model(
            place=place if is_uri(place.root.uri) else place_at(str(place)),  # Links may lead elsewhere later.
            name=name,
            task=card["task"],
            kind=card["kind"],
            linearisation=card["linearisation"],
            constrained=bool(card["constrain"]),
            digest=content_digest(place.here()),
            manifest=manifest,
        )
    except KeyError as error:
        raise ModelError(f"{place / CARD}: does not say {error}; train or export the student anew.") from None


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


def _read_json(place: Place) -> dict[str, Any]:
    try:
        value = json.loads(place.read() or "")
    except ValueError as error:
        raise ModelError(f"{place}: can't be read as JSON ({error}).") from error
    if not isinstance(value, dict):
        raise ModelError(f"{place}: holds no JSON object.")
    return value
