"""`mckd export`: a folder that holds all that a model needs, with a model card, and no trace of the store."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import yaml

from mckd_ray import __version__
from mckd_ray.errors import StoreError
from mckd_ray.runner.provenance import corpus_name, data_terms, provenance
from mckd_ray.serving.models import MANIFEST, Model, content_digest, find, model_files
from mckd_ray.storage import place_at
from mckd_ray.storage.files import write_json
from mckd_ray.student.card import engine_files
from mckd_ray.tasks import TASKS

FORMAT = 1
"""Of the manifest; raise it when a reader of the old one could no longer read the new."""


def export(run: str, folder: Path, system: str | None = None) -> Model:
    """Copy the model that `run` stands for into `folder`, which must be new or empty, with its card; returns it.

    Raises ModelError if there is no such model, StoreError if the folder can't be written.
    """
    model = find(run, system)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder}: is there already and not empty; name a new folder.")
    manifest = {
        **{key: value for key, value in model.manifest.items() if value is not None},
        **provenance(place_at(run)),
        "format": FORMAT,
        "name": model.name,
        "digest": model.digest,
        "task": model.task,
        "mckd_ray": __version__,
    }
    try:
        for path in [*model_files(model.folder), *engine_files(model.folder)]:
            target = folder / path.relative_to(model.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        (folder / "README.md").write_text(model_card(model, manifest), encoding="utf-8")
        write_json(folder / MANIFEST, manifest)
    except OSError as error:
        raise StoreError(f"{folder}: can't be written ({error.strerror}); name another folder.") from error
    if content_digest(folder) != model.digest:
        raise StoreError(f"{folder}: the copy differs from {model.folder}, which something changed; export again.")
    return find(str(folder))


def model_card(model: Model, manifest: Mapping[str, Any]) -> str:
    """The README of an exported model, in the Hugging Face Hub's format: YAML front matter, then Markdown."""
    front = yaml.safe_dump(_front_matter(model, manifest), sort_keys=False, allow_unicode=True)
    template = Template(Path(__file__).with_name("model_card.md").read_text(encoding="utf-8"))
    return template.substitute(
        front=front,
        name=model.name,
        task=TASKS[model.task].summary,
        kind=model.kind,
        linearisation=model.linearisation,
        validity="Only legal outputs are generated." if model.constrained else "Outputs are repaired where need be.",
        id=model.id,
        version=__version__,
        scores=_scores(manifest),
        data=_data(manifest),
        licence=_licence(manifest),
    )


def _front_matter(model: Model, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Without a licence: that of the data and of the base model decide it, and whoever publishes the model knows."""
    front: dict[str, Any] = {
        "library_name": "mckd_ray",
        "pipeline_tag": TASKS[model.task].hub_task,
        "tags": ["mckd", "knowledge-distillation", model.task, model.kind],
    }
    if _from_hub(manifest):
        front["base_model"] = manifest["base_model"]
    if manifest.get("scores"):
        metrics = [{"type": name, "value": round(value, 2)} for name, value in manifest["scores"].items()]
        dataset = corpus_name(manifest)
        result = {
            "task": {"type": TASKS[model.task].hub_task, "name": model.task},
            "dataset": {"name": dataset, "type": dataset, "split": "test"},
            "metrics": metrics,
        }
        front["model-index"] = [{"name": model.name, "results": [result]}]
    return front


def _from_hub(manifest: Mapping[str, Any]) -> bool:
    base = str(manifest.get("base_model", ""))
    return base not in ("", "scratch") and not Path(base).is_absolute()


def _scores(manifest: Mapping[str, Any]) -> str:
    if not manifest.get("scores"):
        return "None are known: the model was exported from a step or folder, not from a finished run."
    lines = ["| metric | % |", "|---|---|"]
    for name, value in manifest["scores"].items():
        mark = "**" if name == manifest.get("primary") else ""
        lines.append(f"| {mark}{name}{mark} | {value:.1f} |")
    answered = f"{100 * manifest['coverage']:.1f}% of them had a usable answer."
    return "\n".join([*lines, "", f"On the {manifest['count']} inputs of the test split; {answered}"])


def _data(manifest: Mapping[str, Any]) -> str:
    rows = manifest.get("rows", {})
    lines = [f"- Corpus: {corpus_name(manifest)}."]
    if rows:
        lines.append(f"- {rows.get('labelled', 0)} labelled examples and {rows.get('pool', 0)} unlabelled inputs.")
    if rows.get("general"):
        lines.append(f"- {rows['general']} rows of a general domain, with gold.")
    if manifest.get("teacher"):
        lines.append(f"- Teacher that wrote the first labels: {manifest['teacher']}.")
    if manifest.get("system"):
        lines.append(f"- Method: {_method(manifest)}.")
    if _from_hub(manifest):
        lines.append(f"- Pretrained model that the student started from: {manifest['base_model']}.")
    return "\n".join(lines)


def _method(manifest: Mapping[str, Any]) -> str:
    system = str(manifest["system"])
    stages = re.fullmatch(r"(.+)-(\d+)", system)
    if stages is None:
        known = {"kd": "vanilla distillation: one stage, trained on the teacher's labels", "sft": "fine-tuning on gold"}
        return known.get(system, system)
    return f"{stages[1]} with {stages[2]} stages over {manifest.get('partitions', 2)} partitions of the pool"


def _licence(manifest: Mapping[str, Any]) -> str:
    base = " So is the pretrained model." if _from_hub(manifest) else ""
    teacher = "The teacher's terms may restrict what its outputs may train."
    return f"{data_terms(manifest)}{base} {teacher} The code is Apache-2.0."
