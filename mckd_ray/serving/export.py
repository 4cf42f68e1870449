"""`mckd export`: a folder that holds all that a model needs, with a model card, and no trace of the store."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import yaml

from mckd_ray import __version__
from mckd_ray.config import DATA_SCHEME
from mckd_ray.corpora.catalogue import CATALOGUE
from mckd_ray.errors import StoreError
from mckd_ray.runner.run import CONFIG
from mckd_ray.serving.models import MANIFEST, Model, content_digest, find, model_files
from mckd_ray.storage import place_at
from mckd_ray.storage.files import write_json
from mckd_ray.storage.root import Place
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
    corpus = _corpus(place_at(run)) or dict(model.manifest.get("corpus", {}))
    manifest = {
        **{key: value for key, value in model.manifest.items() if value is not None},
        "format": FORMAT,
        "name": model.name,
        "digest": model.digest,
        "task": model.task,
        "corpus": corpus,
        "mckd_ray": __version__,
    }
    try:
        for path in model_files(model.folder):
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


def _corpus(run: Place) -> dict[str, Any]:
    """Where the model's data came from, from the config that the run left; nothing if it is no run, or left none."""
    try:
        corpus = yaml.safe_load((run / CONFIG).read() or "")["corpus"]
    except (yaml.YAMLError, KeyError, TypeError):
        return {}
    found = {key: corpus[key] for key in ("format", "path", "labelled") if corpus.get(key) not in (None, "")}
    if "path" in found and found["format"] != "huggingface" and not found["path"].startswith(DATA_SCHEME):
        found["path"] = Path(found["path"]).name  # Where it lay on this machine is nobody's business.
    return found


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
        dataset = _corpus_name(manifest)
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


def _corpus_name(manifest: Mapping[str, Any]) -> str:
    corpus = manifest.get("corpus", {})
    return str(corpus.get("path") or corpus.get("format") or "unknown").removeprefix(DATA_SCHEME)


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
    lines = [f"- Corpus: {_corpus_name(manifest)}."]
    if rows:
        lines.append(f"- {rows.get('labelled', 0)} labelled examples and {rows.get('pool', 0)} unlabelled inputs.")
    if rows.get("general"):
        lines.append(f"- {rows['general']} rows of a general domain, with gold.")
    if manifest.get("teacher"):
        lines.append(f"- Teacher that wrote the first labels: {manifest['teacher']}.")
    if _from_hub(manifest):
        lines.append(f"- Pretrained model that the student started from: {manifest['base_model']}.")
    return "\n".join(lines)


def _licence(manifest: Mapping[str, Any]) -> str:
    published = CATALOGUE.get(_corpus_name(manifest))
    data = "The corpus is under its own terms."
    if published:
        data = f"The corpus, {published.title}: {published.licence}."
    elif manifest.get("corpus", {}).get("format") == "builtin":
        data = "The corpus was made by mckd_ray's own grammar."
    base = " So is the pretrained model." if _from_hub(manifest) else ""
    return f"{data}{base} The teacher's terms may restrict what its outputs may train. The code is Apache-2.0."
