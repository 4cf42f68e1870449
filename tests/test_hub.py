"""What a run leaves to others on the Hugging Face Hub: labels with a data card, uploaded by the official client."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

from mckd_ray.cli import main
from mckd_ray.config import CorpusConfig
from mckd_ray.corpora.corpus import read_split
from mckd_ray.errors import DataError
from mckd_ray.report.analysis.run import Run
from mckd_ray.report.dataset import export_data
from tests.hub_server import Hub, hub_server
from tests.small_run import no_answer, small_run

TOKEN = "hf_a-token-of-nobody"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("run"), {"plan": {"seeds": [1]}})


def test_the_labels_a_student_learned_from_load_as_a_data_set(folder: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    assert main(["export", str(folder), str(tmp_path / "labels"), "--data"]) == 0
    rows = datasets.load_dataset(str(tmp_path / "labels"), split="train", cache_dir=str(tmp_path / "cache"))
    run = Run(folder)
    labels = run.labels(next(step.key for step in run.steps if step.name == "labels 2 mckd seed 1"))
    assert {row["id"]: row["confidence"] for row in rows} == {
        name: pytest.approx(label.confidence) for name, label in labels.items()
    }
    problems: list[str] = []
    corpus = CorpusConfig(format="jsonl", path=str(tmp_path / "labels"))
    entries = read_split(corpus, "train", run.task, problems)
    assert {entry.example.id: entry.target for entry in entries} == {name: one.target for name, one in labels.items()}
    assert problems == []


def test_the_data_card_says_method_teacher_shots_quality_limits_and_terms(folder: Path, tmp_path: Path) -> None:
    export_data(Run(folder), tmp_path / "labels")
    card = DatasetCard.load(tmp_path / "labels" / "README.md")
    assert card.data.size_categories == ["n<1K"]
    assert card.data.task_categories == ["token-classification"]
    assert card.data.configs[0]["data_files"] == [{"split": "train", "path": "train.jsonl"}]
    quality = json.loads((folder / "result.json").read_text())["quality"]["mckd labels 2 seed 1"]["unlabelled_f1"]
    for words in (
        "`mckd-3` of the\nrun `small`",
        "10 labelled examples and 40 unlabelled inputs",
        "a student model trained on a general domain's gold and 10 labelled examples",
        "written after 2 stages over 2 partitions, by students that had not been trained on the input.",
        f"unlabelled F1 {quality:.1f}% against the gold of 40",
        "made by mckd_ray's own grammar",
        'load_dataset("labels", split="train")',
        "## Limits",
    ):
        assert words in card.text
    assert str(folder.parent) not in card.content


def test_of_vanilla_distillation_the_teachers_labels(folder: Path, tmp_path: Path) -> None:
    found = export_data(Run(folder), tmp_path / "labels", "kd")
    assert (found["rows"], found["system"]) == (40, "kd")
    assert "These labels were written by the teacher itself." in (tmp_path / "labels" / "README.md").read_text()


def test_unusable_labels_are_left_out_and_counted(tmp_path: Path) -> None:
    run = Run(small_run(tmp_path, {"plan": {"stages": 1, "systems": ["kd"], "seeds": [1]}}, no_answer))
    found = export_data(run, tmp_path / "labels")
    assert (found["rows"], found["left_out"]) == (0, 40)
    assert "40 inputs without a usable label are left out" in (tmp_path / "labels" / "README.md").read_text()


def test_what_cannot_be_exported_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    run = Run(folder)
    with pytest.raises(DataError, match=r"--system sft: small trains no such system on labels\. Allowed: kd, mckd-2"):
        export_data(run, tmp_path / "labels", "sft")
    unfinished = small_run(tmp_path / "other", unfinished=lambda step: step.kind == "label")
    with pytest.raises(DataError, match="are not there yet; run it first"):
        export_data(Run(unfinished), tmp_path / "labels")
    assert not (tmp_path / "labels").exists()


def pushed(folder: Path, output: Path, hub: Hub, token: str) -> subprocess.CompletedProcess[str]:
    command = ["-m", "mckd_ray.cli", "export", str(folder), str(output), "--data", "--push", "me/labels"]
    return python(command, hub, token)


def python(command: list[str], hub: Hub, token: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own: the client reads where the Hub is when it is imported."""
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_OFFLINE": "0"}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)


def test_the_official_client_uploads_the_folder(folder: Path, tmp_path: Path) -> None:
    with hub_server(TOKEN) as hub:
        done = pushed(folder, tmp_path / "labels", hub, TOKEN)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == f"{hub.url}/datasets/me/labels"
    (created,) = hub.created
    named = ("organization", "name", "type", "visibility")
    assert [created[name] for name in named] == ["me", "labels", "dataset", "private"]
    assert hub.files == {
        f"datasets/me/labels/{path.name}": path.read_bytes() for path in (tmp_path / "labels").iterdir()
    }
    assert TOKEN not in done.stdout + done.stderr


def test_a_model_is_uploaded_as_one(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(bytes(range(256)))
    code = "import sys, pathlib; from mckd_ray.serving.push import push; push(pathlib.Path(sys.argv[1]), *sys.argv[2:])"
    with hub_server(TOKEN) as hub:
        done = python(["-c", code, str(tmp_path / "model"), "me/parser", "model", TOKEN], hub, "")
    assert done.returncode == 0, done.stderr
    assert hub.files == {"models/me/parser/model.safetensors": bytes(range(256))}


def test_a_refusal_is_one_sentence_without_the_token(folder: Path, tmp_path: Path) -> None:
    with hub_server("hf_another-token") as hub:
        done = pushed(folder, tmp_path / "labels", hub, TOKEN)
    assert done.returncode == 2
    assert "is written, but was not pushed to me/labels: " in done.stderr
    assert "401" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_without_a_token_or_a_name_nothing_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    command = ["export", str(folder), str(tmp_path / "labels"), "--data", "--push"]
    assert main([*command, "me/labels"]) == 2
    assert "HF_TOKEN is not set; put a token of the Hub that may write into it." in capsys.readouterr().err
    assert main([*command, "me/labels/more"]) == 2
    assert capsys.readouterr().err.startswith("mckd: --push me/labels/more: ")
    assert not (tmp_path / "labels").exists()
