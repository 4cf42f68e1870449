"""Where a model or its labels come from, as their cards say it: corpus and its terms, teacher, method."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mckd_ray.config import DATA_SCHEME
from mckd_ray.corpora.catalogue import CATALOGUE
from mckd_ray.runner.run import CONFIG
from mckd_ray.storage.root import Place
from mckd_ray.teacher import PROMPTED


def provenance(run: Place) -> dict[str, Any]:
    """Corpus, teacher, stages and partitions, from the config that the run left; empty if there is none."""
    try:
        config = yaml.safe_load((run / CONFIG).read() or "")
        return {
            "corpus": _corpus(config["corpus"]),
            "teacher": _teacher(config["teacher"]),
            "stages": config["plan"]["stages"],
            "partitions": config["plan"]["partitions"],
        }
    except (yaml.YAMLError, KeyError, TypeError):
        return {}


def _corpus(corpus: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: corpus[key] for key in ("format", "path", "labelled") if corpus.get(key) not in (None, "")}
    if "path" in found and found["format"] != "huggingface" and not found["path"].startswith(DATA_SCHEME):
        found["path"] = Path(found["path"]).name  # Where it lay on this machine is nobody's business.
    return found


def _teacher(teacher: Mapping[str, Any]) -> str:
    engine, model, shots = teacher["engine"], teacher["model"], teacher["shots"]
    if engine == "auto" or engine in PROMPTED:
        what = "a small language model trained for this" if model == "scratch" else Path(model).name
        if "/" in model and not Path(model).is_absolute():
            what = model
        return f"{what}, shown at most {shots} labelled examples in each prompt"
    return {
        "student": f"a student model trained on a general domain's gold and {shots} labelled examples",
        "replay": "labels that were there already",
        "simulated": "simulated: gold with noise, which says nothing about a real teacher",
    }[engine]


def corpus_name(facts: Mapping[str, Any]) -> str:
    """The name of the corpus in `provenance`."""
    corpus = facts.get("corpus", {})
    return str(corpus.get("path") or corpus.get("format") or "unknown").removeprefix(DATA_SCHEME)


def data_terms(facts: Mapping[str, Any]) -> str:
    """On what terms the corpus is, as far as is known."""
    published = CATALOGUE.get(corpus_name(facts))
    if published:
        return f"The corpus, {published.title}: {published.licence}."
    if facts.get("corpus", {}).get("format") == "builtin":
        return "The corpus was made by mckd_ray's own grammar."
    return "The corpus is under its own terms."
