"""The tutorial's own task, as it stands on the page, distilled in two stages."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mckd_ray.config import ExperimentConfig
from mckd_ray.corpora.builtin import general_rows
from mckd_ray.plan.store import Store
from mckd_ray.runner.perform import perform_here
from mckd_ray.runner.results import result_of
from mckd_ray.runner.run import graph_of
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import Task
from mckd_ray.tasks.trees import read_tree
from tests.running import TINY_TAGGER

STUDENT = {**TINY_TAGGER, "training": {"steps": 150, "batch_size": 16, "learning_rate": 5e-3}}
PAGE = Path(__file__).parent.parent / "docs" / "tutorials" / "new-task.md"


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    """The task of the page's first block, among the tasks."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    assert len([line for line in code.splitlines() if line]) <= 60, "the page promises 60 lines"
    module = ModuleType("part_of_speech")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    task: Task = module.__dict__["PartOfSpeech"]()
    monkeypatch.setitem(TASKS, task.name, task)
    return task


def test_the_tutorials_task_is_distilled(task: Task, tmp_path: Path) -> None:
    rows = [
        {"id": row["id"], "tokens": row["tokens"], "tags": [leaf.label for leaf in read_tree(row["tree"]).leaves()]}
        for row in general_rows("constituency", 200, seed=1)
    ]
    for split, some in (("train", rows[:150]), ("test", rows[150:])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    config = ExperimentConfig.model_validate(
        {
            "name": "pos",
            "task": {"kind": task.name},
            "corpus": {"path": str(tmp_path), "labelled": 50, "dev": 0},
            "teacher": {"engine": "student", "shots": 50, "student": STUDENT},
            "student": STUDENT,
            "plan": {"stages": 2, "systems": ["teacher", "mckd"]},
        }
    )
    graph, store = graph_of(config), Store(tmp_path / "runs")
    result = result_of(config, graph, store, perform_here(graph.steps, store))
    assert not result["failed"]
    score = result["systems"]["mckd-2"]["accuracy"]["mean"]
    assert 30 < score <= 100, "more than by chance"
