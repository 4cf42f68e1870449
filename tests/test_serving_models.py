"""Which model RUN stands for, what an export holds, and what `mckd serve --export` writes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from mckd_ray import student
from mckd_ray.cli import main
from mckd_ray.errors import ModelError
from mckd_ray.records import Example
from mckd_ray.serving.models import find
from mckd_ray.serving.settings import TOKEN_VARIABLE, ServingConfig
from tests.endpoint import trained


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a finished run with two seeds, as `mckd run` leaves it, whose mckd-3 knows trees."""
    names = {"kd": "a", "mckd-2": "b", "mckd-3": "c", "mckd stage 1 A": "d"}
    steps = [
        {"kind": "train", "name": f"train {name} seed {seed}", "key": f"train-{letter * 15}{seed}", "settings": {}}
        for seed in (1, 2)
        for name, letter in names.items()
    ]
    for step in steps[:4]:
        checkpoint = tmp_path / "runs" / "steps" / str(step["key"]) / "model"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.symlink_to(trained("constituency"))
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps({"store": str(tmp_path / "runs"), "steps": steps}))
    (folder / "config.yaml").write_text(
        "corpus: {format: penn, path: 'data:craft', labelled: 50}\n"
        "teacher: {engine: vllm, model: /models/Qwen2.5-7B-Instruct, shots: 12}\n"
        "plan: {stages: 3, partitions: 2}\n"
    )
    scores = {"unlabelled_f1": {"mean": 60.0, "values": [71.25, 48.75]}, "count": 30, "coverage": 1.0}
    result = {"primary": "unlabelled_f1", "teacher": "vllm", "systems": {"mckd-3": scores}}
    (folder / "result.json").write_text(json.dumps({**result, "corpus": {"rows": {"labelled": 50, "pool": 2000}}}))
    monkeypatch.chdir(tmp_path)
    return folder


def test_of_a_run_the_last_stages_student_is_served(run: Path) -> None:
    model = find("runs/tiny")
    assert (model.name, model.task, model.folder) == ("tiny/mckd-3", "constituency", trained("constituency"))
    assert model.manifest["scores"] == {"unlabelled_f1": 71.25}
    assert find("runs/tiny", "kd").name == "tiny/kd"


def test_steps_and_digests_are_models_too(run: Path) -> None:
    key = "train-" + "c" * 15 + "1"
    for given in (f"runs/steps/{key}", key, "c" * 15, f"runs/steps/{key}/model"):
        assert find(given).digest == find("runs/tiny").digest


def test_an_exported_folder_needs_no_store_and_carries_its_card(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "runs/tiny", "out"]) == 0
    exported = find("out")
    assert exported.id == find("runs/tiny").id in capsys.readouterr().out
    example = Example("1", ("the", "cat", "sleeps"))
    assert student.load(exported.folder).label([example])[0].target == "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"
    card_text = (tmp_path / "out" / "README.md").read_text()
    _, front, card = card_text.split("---\n", 2)
    values = yaml.safe_load(front)
    assert values["model-index"][0]["results"][0]["metrics"] == [{"type": "unlabelled_f1", "value": 71.25}]
    assert "| **unlabelled_f1** | 71.2 |" in card
    assert "CC BY 3.0" in card
    assert "- Teacher that wrote the first labels: Qwen2.5-7B-Instruct, shown at most 12 labelled examples" in card
    assert "- Method: mckd with 3 stages over 2 partitions of the pool." in card
    read: Any = ModelCard(card_text).data
    assert read.eval_results[0].metric_value == 71.25
    assert str(tmp_path) not in card + (tmp_path / "out" / "mckd.json").read_text()
    again = tmp_path / "again"
    assert main(["export", "out", str(again)]) == 0
    assert find(str(again)).id == exported.id


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["serve", "nowhere"], "is no model; give a run's folder"),
        (["serve", "runs/tiny", "--system", "mcdk-3"], "Did you mean 'mckd-3'"),
        (["serve", "out", "--system", "kd"], "not a run's folder"),
        (["serve", "abcdef123456"], "no training step has this digest"),
        (["serve", "runs/tiny", "-o", "limits.token=3"], "unknown key 'limits.token'. Did you mean 'tokens'"),
        (["serve", "runs/tiny", "--replicas", "4-2"], "most=2 is below least=4"),
        (["serve", "runs/tiny", "--replicas", "few"], "replicas.least is 'few'"),
        (["serve", "runs/tiny", "--host", "0.0.0.0"], f"set {TOKEN_VARIABLE} to a token"),
        (["serve", "runs/tiny", "--host", "203.0.113.1", "--insecure"], "can't listen there"),
        (["export", "runs/tiny", "runs"], "already and not empty"),
        (["predict", "runs/tiny", "--input", "none.jsonl", "--output", "o"], "none.jsonl: can't be read"),
        (["predict", "runs/tiny", "--input", "bad.jsonl", "--output", "o"], "bad.jsonl, line 2: tokens: is empty"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str], words: str
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    Path("bad.jsonl").write_text('{"tokens": ["a"]}\n{"tokens": []}\n')
    assert main(command) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_student_that_is_not_trained_yet_is_named(run: Path) -> None:
    (run.parent / "steps" / ("train-" + "c" * 15 + "1") / "model").unlink()
    with pytest.raises(ModelError, match="'mckd-3' is not trained yet"):
        find(str(run))


def test_a_serve_config_file_holds_what_the_deployment_takes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "s3cret")
    assert main(["serve", "runs/tiny", "--export", "serve.yaml", "--host", "0.0.0.0", "--replicas", "1-4"]) == 0
    text = Path("serve.yaml").read_text()
    (application,) = yaml.safe_load(text)["applications"]
    config = ServingConfig.model_validate(application["args"])
    assert (config.token, config.replicas.most, config.version) == (True, 4, find("runs/tiny").id)
    assert Path(config.model).is_absolute()
    assert "s3cret" not in text


def test_the_serve_config_file_is_one_that_serve_reads(run: Path) -> None:
    from ray.serve.schema import ServeDeploySchema

    assert main(["serve", "runs/tiny", "--export", "serve.yaml"]) == 0
    schema = ServeDeploySchema.model_validate(yaml.safe_load(Path("serve.yaml").read_text()))
    module, _, builder = str(schema.applications[0].import_path).partition(":")
    assert (module, builder) == ("mckd_ray.serving.deployment", "application")
