"""How far a run is: from the store alone, and in the terminal of the run itself."""

import io
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mckd_ray.cli import main
from mckd_ray.config import ExperimentConfig
from mckd_ray.plan.store import Store
from mckd_ray.report.board import status_table
from mckd_ray.report.live import watching
from mckd_ray.report.status import line_of, seconds_left, status
from mckd_ray.runner.progress import ProgressWriter
from mckd_ray.runner.reports import Report
from mckd_ray.runner.run import View, graph_of
from mckd_ray.storage import place_at
from tests.small_run import CONFIG, small_run

RUNNING, FAILED = "train mckd stage 2 A seed 2", "train kd seed 1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two seeds in which one student trains, one has failed, and what stands on them waits."""
    root = tmp_path_factory.mktemp("run")
    folder = small_run(root, unfinished=lambda step: step.name in (RUNNING, FAILED))
    writer = ProgressWriter(Store(root).place(key_of(folder, RUNNING)), 200)
    writer.update(50, "loss 0.412")
    writer.update(200, "loss 0.125")
    failed = Store(root).folder(key_of(folder, FAILED))
    failed.mkdir(exist_ok=True)
    (failed / "error.txt").write_text("Traceback\nRuntimeError: no room\n")
    return folder


def key_of(folder: Path, name: str) -> str:
    plan = json.loads((folder / "plan.json").read_text())
    return next(str(step["key"]) for step in plan["steps"] if step["name"] == name)


def told(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with Store(folder.parent).lock(key_of(folder, RUNNING)):
        assert main(["status", str(folder), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_stages_and_partitions_with_state_progress_loss_and_score(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(folder, capsys)
    lines = {(line["what"], line["partition"]): line for line in found["lines"]}
    training = lines["mckd stage 2", "A"]
    assert (training["state"], training["note"]) == ("running", "train 200/200, loss 0.125")
    assert training["steps"] == 4, "two seeds, each trained and then relabelling"
    assert training["done"] == 3, "of which one is trained, has relabelled, and the other is trained by now"
    assert training["seconds_left"] == 0
    assert lines["mckd stage 2", "B"]["state"] == "done"
    assert (lines["kd", ""]["state"], lines["kd", ""]["note"]) == ("failed", "RuntimeError: no room")
    assert lines["mckd-3", ""]["state"] == "waiting"
    assert found["done"] == sum(step["state"] == "done" for step in found["steps"])


def test_scores_are_those_of_the_evaluations(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {line["what"]: line for line in told(folder, capsys)["lines"]}
    plan, store = json.loads((folder / "plan.json").read_text()), Store(folder.parent)

    def mean(keys: list[str]) -> float:
        values = [json.loads((store.folder(key) / "evaluation.json").read_text())["values"] for key in keys]
        return statistics.fmean(statistics.fmean(one.values()) for one in values)

    on_test = [one["key"] for one in plan["scored"] if one["system"] == "mckd-2" and one["split"] == "test"]
    assert (lines["mckd-2"]["score"], lines["mckd-2"]["split"]) == (pytest.approx(mean(on_test)), "test")
    of_pool = [key for name, key in plan["quality"].items() if name.startswith("mckd labels 1")]
    assert (lines["mckd labels 1"]["score"], lines["mckd labels 1"]["split"]) == (pytest.approx(mean(of_pool)), "pool")


def test_a_teacher_that_is_asked_again_for_what_it_lacks_runs(tmp_path: Path) -> None:
    folder = small_run(tmp_path)
    (key,) = (path.name for path in (tmp_path / "steps").glob("label-*"))
    record = tmp_path / "steps" / key / "record.json"
    found = json.loads(record.read_text())
    record.write_text(json.dumps({**found, "facts": {**found["facts"], "unanswered": 3}}))

    def state() -> str:
        return next(str(step["state"]) for step in status(place_at(folder))["steps"] if step["key"] == key)

    with Store(tmp_path).lock(key):
        assert state() == "running"
    assert state() == "done"


def test_the_table_is_the_same_in_a_store_that_has_moved(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.symlink_to(folder.parent)
    assert status(place_at(moved / folder.name)) == status(place_at(folder))


def test_time_left_counts_what_waits_by_what_its_kind_took() -> None:
    def step(kind: str, state: str, **more: float) -> dict[str, Any]:
        return {"kind": kind, "state": state, **more}

    steps = [
        step("train", "done", seconds=30.0),
        step("train", "done", seconds=10.0),
        step("train", "running", seconds_left=8.0),
        step("train", "running", seconds_left=12.0),
        step("train", "waiting"),
    ]
    assert seconds_left(steps) == (8 + 12 + 20) / 2
    assert seconds_left([*steps, step("relabel", "waiting")]) is None, "nobody knows yet how long that takes"
    assert seconds_left(steps[:2]) is None, "nothing runs"


def printed(found: dict[str, Any], most: int | None = None) -> str:
    console = Console(width=110)
    with console.capture() as capture:
        console.print(status_table(found, most))
    return capture.get()


def test_people_see_a_line_each_and_in_little_room_those_that_matter(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(folder, capsys)
    whole = printed(found).splitlines()
    line = next(line for line in whole if "mckd stage 2" in line and " A " in line)
    assert "running" in line
    assert "train 200/200, loss 0.125" in line
    short = printed(found, 3)
    assert "RuntimeError: no room" in short
    assert "train 200/200" in short
    assert f"and {len(found['lines']) - 3} more lines" in short


@pytest.mark.parametrize(
    "plan",
    [
        {"systems": ["teacher", "base", "sft", "kd", "mckd", "self", "born-again"], "stages": 3},
        {"systems": ["mckd"], "mix": "cross+self", "students": 2, "partitions": 3, "stopping": "budget"},
    ],
)
def test_every_step_belongs_to_a_line(plan: dict[str, Any]) -> None:
    values = {**CONFIG, "name": "lines", "plan": {**plan, "seeds": [1, 2]}}
    values["student"] = {"kind": "tagger", "base": {}}
    values["corpus"] = {**CONFIG["corpus"], "general": {"format": "builtin"}}
    lines = {line_of(step.name) for step in graph_of(ExperimentConfig.model_validate(values)).steps}
    chains = [name for name in ("mckd", "self", "born-again") if name in plan["systems"]]
    known = {"corpus", "base", "teacher", "teacher labels", "sft", "kd"}
    known |= {f"{chain}-{stage}" for chain in chains for stage in (2, 3)}
    known |= {f"{chain} {what} {stage}" for chain in chains for stage in (1, 2) for what in ("stage", "labels")}
    assert {what for what, _ in lines} <= known
    letters = "ABC"[: plan.get("partitions", 2)]
    assert {part for what, part in lines if what.startswith("mckd stage")} == set(letters)


def view_of(folder: Path) -> View:
    config = ExperimentConfig.model_validate({**CONFIG, "name": folder.name, "store": {"root": str(folder.parent)}})
    graph, store = graph_of(config), Store(folder.parent)
    ended = [step for step in graph.steps if store.record(step.key)]
    reports = {step.digest: Report(step.digest, "done", 0.0, 7.0) for step in ended}
    (failed,) = (step for step in graph.steps if step.name == FAILED)
    reports[failed.digest] = Report(failed.digest, "failed", 0.0, 1.0, "no room")
    return View(config, graph.steps, store, reports)


def test_a_terminal_shows_the_table_while_the_run_goes_on(folder: Path) -> None:
    screen = io.StringIO()
    with watching(Console(file=screen, force_terminal=True, width=110, height=60)) as watch:
        watch(view_of(folder))
    shown = screen.getvalue()
    assert "mckd stage 2" in shown
    assert "no room" in shown
    assert "train sft seed 1 (7 s)" in shown, "and above it a line for each step that has ended"


def test_elsewhere_there_are_plain_lines(folder: Path) -> None:
    log = io.StringIO()
    with watching(Console(file=log, width=110)) as watch:
        watch(view_of(folder))
        watch(view_of(folder))
    lines = log.getvalue().splitlines()
    assert len(lines) == len(view_of(folder).reports), "each step is told of once"
    assert any(line.startswith(" failed train kd seed 1 (1 s): no room") for line in lines)
    assert "\x1b" not in log.getvalue()
