"""What must not change a run's labels: kills at random moments, and gold beyond the labelled budget.

Each disturbed run is compared with one undisturbed run of the same experiment on files.
"""

import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mckd_ray import corpora
from mckd_ray.config import CorpusConfig
from mckd_ray.tasks import TASKS
from tests.running import TINY, Experiment, processes_below, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
FILES: dict[str, Any] = {"path": ".", "labelled": 20}
CONFIG: dict[str, Any] = {
    **TINY,
    "corpus": {**FILES, "general": {"path": ".", "files": {"train": "general.jsonl"}}},
    "plan": {"stages": 2, "systems": ["mckd"]},
    "resources": {"labelling": {"chunk": 1}},
}
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("calm")
    write_corpus(folder)
    experiment = Experiment(folder, CONFIG)
    experiment.run()
    return experiment


@pytest.fixture
def again(calm: Experiment, tmp_path: Path) -> Experiment:
    """The same experiment in a folder of its own, not run yet."""
    for file in calm.folder.glob("*.jsonl"):
        shutil.copy(file, tmp_path)
    return Experiment(tmp_path, CONFIG)


def test_killed_worker_actor_and_driver(calm: Experiment, again: Experiment) -> None:
    """A training worker, a labelling actor and the driver are killed; after a rerun, all labels are the same."""
    moments = random.Random(time.time_ns())
    driver = again.start()
    worker = wait_for(lambda: processes_below(driver.pid, "ray::RayTrainWorker"), driver)[0]
    time.sleep(moments.uniform(0, 5))
    worker.kill()
    answered = moments.randint(1, 100)
    wait_for(lambda: len(again.answers()) > answered, driver)
    processes_below(driver.pid, "ray::LabellingActor")[0].kill()
    wait_for(lambda: any("stage 1" in record["name"] for record in again.records().values()), driver)
    time.sleep(moments.uniform(0, 5))
    driver.kill()
    driver.communicate()
    finished = again.records()

    again.run()
    assert again.label_tables() == calm.label_tables()
    after = again.records()
    assert {key: after[key] for key in finished} == finished, "a finished step was repeated"
    assert set(after) == set(calm.records())


def test_garbage_gold_changes_no_label_no_checkpoint_and_no_test_score(calm: Experiment, again: Experiment) -> None:
    garble(again.folder)
    again.run()
    honest, garbled = calm.result(), again.result()
    assert honest["systems"]["mckd-2"]["unlabelled_f1"] == garbled["systems"]["mckd-2"]["unlabelled_f1"]
    assert produced(calm) == produced(again)
    quality = [result["quality"]["teacher labels"]["unlabelled_f1"] for result in (honest, garbled)]
    assert quality[0] != quality[1], "the garbage did not reach the pool's gold at all"


def write_corpus(folder: Path) -> None:
    """The tiny built-in corpus as files."""
    task = TASKS["constituency"]
    corpus = corpora.load(CorpusConfig.model_validate(TINY["corpus"]), task)
    known = {"train": corpus.labelled, "general": corpus.general}
    rows = {split: [task.write(row.example, row.target) for row in some] for split, some in known.items()}
    for split, examples in (("pool", corpus.pool), ("dev", corpus.dev), ("test", corpus.test)):
        found = [task.write(example, corpus.gold[split][example.id]) for example in examples]
        rows.setdefault("train" if split == "pool" else split, []).extend(found)
    for split, some in rows.items():
        write_rows(folder / f"{split}.jsonl", some)


def garble(folder: Path) -> None:
    """Make all gold of dev, and of train beyond the labelled budget, one flat bracket."""
    config = CorpusConfig.model_validate(FILES | {"path": str(folder)})
    budget = {row.id for row in corpora.load(config, TASKS["constituency"]).labelled}
    for split in ("train", "dev"):
        rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]
        for row in rows:
            if row["id"] not in budget:
                row["tree"] = f"(X {' '.join(f'(X {token})' for token in row['tokens'])})"
        write_rows(folder / f"{split}.jsonl", rows)


def write_rows(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def produced(run: Experiment) -> dict[str, tuple[str, bytes]]:
    """The labels (but for who wrote them) and the weights of each step, by the step's name."""
    found = {}
    for key, record in run.records().items():
        folder = run.folder / "runs" / "steps" / key
        tables, weights = list(folder.glob("labels.parquet")), list(folder.glob("model/*.safetensors"))
        labels = pq.read_table(tables[0]).drop_columns(["labeller"]).to_pylist() if tables else None
        found[record["name"]] = (repr(labels), b"".join(path.read_bytes() for path in weights))
    return found
