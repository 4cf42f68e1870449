"""`mckd data show`: counts, lengths, names, examples and problems, as data and as a page."""

import io
import json
from pathlib import Path

from rich.console import Console

from mckd_ray.config import CorpusConfig
from mckd_ray.corpora.show import describe, render
from mckd_ray.tasks import TASKS


def page(description: dict[str, object]) -> str:
    text = io.StringIO()
    Console(file=text, width=120).print(render(description))
    return text.getvalue()


def test_a_real_corpus(data: Path) -> None:
    found = describe(CorpusConfig(path=str(data / "atis"), labelled=0), TASKS["semantic"])
    assert found["counts"]["test"] == 804
    assert found["lengths"]["pool"] == {"rows": 4395, "mean": 11.3, "median": 11, "p95": 19, "max": 46}
    assert len(found["inventory"]["intents"]) == 26
    assert len(found["inventory"]["slots"]) == 83
    assert len(found["examples"]) == 3
    assert json.loads(json.dumps(found)) == found
    assert "26 intents: atis_abbreviation" in page(found)


def test_the_built_in_corpus_has_the_labels_of_a_treebank() -> None:
    config = CorpusConfig(format="builtin", labelled=2, pool=50, dev=5, test=5)
    found = describe(config, TASKS["constituency"])
    assert {"NP", "VP", "PP", "SBAR", "S"} <= set(found["inventory"]["labels"])
    assert {"NN", "NNS", "VBD", "VBN", "IN", "DT"} <= set(found["inventory"]["tags"])
    assert found["licence"] == "that of this package"


def test_problems_are_listed_by_line(tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "text": f"in {n}", "target": "out"} for n in range(200)]
    rows[9] = {"id": "r9"}
    for split in ("train", "test"):
        named = [row | {"id": f"{split}{row['id']}", "text": f"{split} {row['text']}"} for row in rows if "text" in row]
        text = "".join(json.dumps(row) + "\n" for row in [*named, *([{"id": "x"}] if split == "train" else [])])
        (tmp_path / f"{split}.jsonl").write_text(text)
    found = describe(CorpusConfig(path=str(tmp_path), labelled=1, dev=0), TASKS["text"])
    assert [problem.partition(": ")[0] for problem in found["problems"]] == [f"{tmp_path}/train.jsonl:200"]
    assert "1 problems:" in page(found)
