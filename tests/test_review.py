"""Inputs for people to review: which ones, out to each tool, and back as labelled examples."""

import csv
import json
import math
import statistics
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from mckd_ray.config import CorpusConfig
from mckd_ray.corpora.corpus import read_split
from mckd_ray.errors import DataError
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.report.analysis.run import Run
from mckd_ray.report.review.export import FORMATS, SUFFIXES, write_review
from mckd_ray.report.review.reading import import_review
from mckd_ray.report.review.select import Candidate, Selection, disagreement, select
from mckd_ray.tasks import TASKS
from tests.small_run import no_answer, small_run

ONE_SEED = {"plan": {"stages": 2, "systems": ["mckd"], "seeds": [1]}}
TARGETS = {
    "constituency": ("(S (NP (D the) (N cat)) (VP (V sleeps)))", "(S (D the) (N cat) (VP (V sleeps)))"),
    "semantic": ("sleep B-who I-who O", "sleep B-who I-who B-how"),
    "text": ("the <b>cat</b>, “asleep”", "a, b\n"),
}
EXAMPLES = {
    "constituency": Example("one", ("the", "cat", "sleeps")),
    "semantic": Example("one", ("the", "=cat", "slëëps")),
    "text": Example("one", text='the "cat", sleeps;  well'),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(small_run(tmp_path_factory.mktemp("run"), ONE_SEED))


def selection(task: str) -> Selection:
    suggested, target = TARGETS[task]
    other = Candidate(Example("two", ("a",), "a" if task == "text" else ""), "", "no usable label")
    return Selection(TASKS[task], (Candidate(EXAMPLES[task], suggested, "why"), other), (suggested, target), 2, 2)


def test_a_correction_becomes_a_labelled_example(tmp_path: Path) -> None:
    (path,) = write_review(selection("constituency"), "csv", tmp_path / "review.csv")
    correct(path, "csv", "constituency")
    found = import_review(path, tmp_path / "new.jsonl")
    assert (found["task"], found["rows"], found["left_out"]) == ("constituency", 1, 1)
    row = json.loads((tmp_path / "new.jsonl").read_text())
    assert row == {"id": "one", "tokens": ["the", "cat", "sleeps"], "tree": TARGETS["constituency"][1]}


@pytest.mark.parametrize("tool", FORMATS)
@pytest.mark.parametrize("task", TARGETS)
def test_every_task_goes_to_every_tool_and_back(tmp_path: Path, task: str, tool: str) -> None:
    path, *_ = write_review(selection(task), tool, tmp_path / f"review{SUFFIXES[tool]}")
    correct(path, tool, task)
    import_review(path, tmp_path / "train.jsonl")
    problems: list[str] = []
    config = CorpusConfig(format="jsonl", path=str(tmp_path), files={"train": "train.jsonl"})
    (entry,) = read_split(config, "train", TASKS[task], problems)
    assert (entry.example, entry.target, problems) == (EXAMPLES[task], TARGETS[task][1].strip(), [])


def correct(path: Path, tool: str, task: str) -> None:
    """What a reviewer does with the first input: the second of `TARGETS` instead of the suggestion."""
    target = TARGETS[task][1]
    if tool == "csv":
        rows = list(csv.DictReader(path.open(newline="")))
        change = {"tree": target, "target": target, "tags": target.partition(" ")[2], "intent": "sleep"}
        rows[0] |= {name: value for name, value in change.items() if name in rows[0]} | {"reviewed": "x"}
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return
    entries = json.loads(path.read_text())
    if tool == "label-studio":
        results = entries[0]["predictions"][0]["result"]
        entries[0]["annotations"] = [{"result": list(studio(results, target, task)), "was_cancelled": False}]
        entries[1]["annotations"] = [{"result": results, "was_cancelled": True}]
    else:
        values = {name: one["value"] for name, one in entries[0]["suggestions"].items()}
        if task == "semantic":
            values["slots"].append({"start": 9, "end": 15, "label": "how"})
        else:
            values = dict.fromkeys(values, target)
        entries[0]["responses"] = {name: [{"value": value, "user_id": "me"}] for name, value in values.items()}
        entries[1]["responses"] = {"tree": [{"value": "(S", "user_id": "me", "status": "draft"}]}
    path.write_text(json.dumps(entries))


def studio(results: list[dict[str, Any]], target: str, task: str) -> Iterator[dict[str, Any]]:
    if task != "semantic":
        yield {**results[0], "value": {"text": [target]}}
        return
    yield from results
    yield {"from_name": "slots", "type": "labels", "value": {"start": 8, "end": 15, "labels": ["how"]}}


def test_disagreement_is_what_pairs_do_not_have_in_common() -> None:
    task, example = TASKS["constituency"], EXAMPLES["constituency"]
    targets = [*TARGETS["constituency"], TARGETS["constituency"][0]]
    labels = [Label("one", target, target, Outcome.OK) for target in targets]
    pairs = [task.example_value(task.counts(ours, theirs, example)) for ours, theirs in combinations(targets, 2)]
    assert disagreement(task, example, labels) == pytest.approx(100 - statistics.fmean(pairs))
    silent = [*labels[:1], Label("one", "", "", Outcome.UNPARSABLE)]
    assert disagreement(task, example, silent) == 100


def test_selections_have_the_most_doubtful_inputs_first(run: Run) -> None:
    tables = [run.labels(run.by_key[key].inputs["labels"]) for key in run.quality.values()]
    examples = run.examples("pool")
    doubts = {name: disagreement(run.task, examples[name], [table[name] for table in tables]) for name in examples}
    chosen = [one.example.id for one in select(run, "disagreement", 5).candidates]
    assert [doubts[name] for name in chosen] == sorted(doubts.values(), reverse=True)[:5]
    unsure = [one.example.id for one in select(run, "uncertain", 5).candidates]
    assert unsure == sorted(examples, key=lambda name: tables[-1][name].confidence)[:5]
    drawn = [one.example.id for one in select(run, "random", 1000).candidates]
    assert sorted(drawn) == sorted(examples)
    assert drawn != list(examples)


def test_inputs_without_a_usable_label_come_first_and_have_no_suggestion(tmp_path: Path) -> None:
    run = Run(small_run(tmp_path, {"plan": {"stages": 1, "systems": ["kd"], "seeds": [1]}}, no_answer))
    with pytest.raises(DataError, match="no confidence"):
        select(run, "uncertain", 3)
    with pytest.raises(DataError, match="only one table of labels"):
        select(run, "disagreement", 3)
    assert {one.suggestion for one in select(run, "random", 3).candidates} == {""}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "id,input,tree,why,reviewed\none,the cat,(S (D the)),w,x\n", r"a\.csv:2: the leaves of the tree"),
        ("a.csv", "id,input,tags,intent,why,reviewed\none,the cat,O B,go,w,x\n", r"a\.csv:2: token 2 has the tag 'B'"),
        ("a.csv", "id,tree\n", "it needs those that"),
        ("a.csv", "id,input,tree,why,reviewed\none,the,,,\n", "of which none was reviewed"),
        ("a.json", "{", "neither .csv nor JSON"),
        ("a.json", "[{}]", r"entry 1: has neither `data`"),
        ("a.json", '[{"data": {"id": "one"}}]', "not as the tool exports it"),
        ("missing.json", "", "cannot be read"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, name: str, text: str, message: str) -> None:
    if text:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        import_review(tmp_path / name, tmp_path / "new.jsonl")
    assert not (tmp_path / "new.jsonl").exists()


@pytest.mark.parametrize(
    ("start", "end", "message"), [(0, 2, "not one or more whole words"), (0, 8, "overlap"), (3, 4, "whole words")]
)
def test_spans_that_are_no_slots_name_their_words(tmp_path: Path, start: int, end: int, message: str) -> None:
    path, *_ = write_review(selection("semantic"), "argilla", tmp_path / "review.json")
    entries = json.loads(path.read_text())
    spans = [{"start": 0, "end": 3, "label": "a"}, {"start": start, "end": end, "label": "b"}]
    entries[0]["responses"] = {"slots": [{"value": spans, "user_id": "me"}]}
    path.write_text(json.dumps(entries))
    with pytest.raises(DataError, match=rf"entry 1: .*{message}"):
        import_review(path, tmp_path / "new.jsonl")


@pytest.mark.parametrize("task", TARGETS)
def test_argilla_reads_its_files(tmp_path: Path, task: str) -> None:
    models = pytest.importorskip("argilla._models", reason="argilla is no dependency; install it to check its format")
    reader = pytest.importorskip("argilla.records._io._json").JsonIO
    records, settings = write_review(selection(task), "argilla", tmp_path / "review.json")
    # What `Settings.from_json` does before it looks for a server.
    read = json.loads(settings.read_text())
    questions = {models.QuestionModel(**question).name for question in read["questions"]}
    assert [models.FieldModel(**field).name for field in read["fields"]] == ["text"]
    first, second = reader._records_from_json(records)
    assert first.fields["text"] == EXAMPLES[task].source
    assert {suggestion.question_name for suggestion in first.suggestions} == questions
    assert list(second.suggestions) == []


@pytest.mark.parametrize("task", TARGETS)
def test_what_argilla_writes_comes_back(tmp_path: Path, task: str) -> None:
    argilla = pytest.importorskip("argilla", reason="argilla is no dependency; install it to check its format")
    reader = pytest.importorskip("argilla.records._io._json").JsonIO
    path, *_ = write_review(selection(task), "argilla", tmp_path / "review.json")
    first, second = reader._records_from_json(path)
    values = {suggestion.question_name: suggestion.value for suggestion in first.suggestions}
    if task == "semantic":
        values["slots"] = [*values["slots"], {"start": 9, "end": 15, "label": "how"}]
    else:
        values = dict.fromkeys(values, TARGETS[task][1])
    for name, value in values.items():
        first.responses.add(argilla.Response(name, value, user_id="me", status="submitted"))
    reader.to_json([first, second], tmp_path / "reviewed.json")
    found = import_review(tmp_path / "reviewed.json", tmp_path / "new.jsonl")
    assert (found["rows"], found["left_out"]) == (1, 1)
    example, target = TASKS[task].read(json.loads((tmp_path / "new.jsonl").read_text()))
    assert (example, target) == (EXAMPLES[task], TARGETS[task][1].strip())


@pytest.mark.parametrize("task", TARGETS)
def test_label_studio_reads_its_files(tmp_path: Path, task: str) -> None:
    interfaces = pytest.importorskip(
        "label_studio_sdk.label_interface", reason="label-studio-sdk is no dependency; install it to check its format"
    )
    tasks, config = write_review(selection(task), "label-studio", tmp_path / "review.json")
    interface = interfaces.LabelInterface(config.read_text())
    interface.validate()
    first, second = json.loads(tasks.read_text())
    assert interface.validate_prediction(first["predictions"][0], return_errors=True) == []
    assert interface.validate_task({"data": second["data"]})


def test_confidence_is_a_probability_for_people(run: Run) -> None:
    (first,) = select(run, "uncertain", 1).candidates
    tables = [run.labels(run.by_key[key].inputs["labels"]) for key in run.quality.values()]
    assert first.why == f"confidence {math.exp(tables[-1][first.example.id].confidence):.2f}"
