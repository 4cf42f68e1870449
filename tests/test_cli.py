"""The command line: what it prints, and what it says of wrong use and bad input."""

import json
from pathlib import Path

import pytest

from mckd_ray.cli import main

ROOT = Path(__file__).parent.parent
CONFIG = """
task: {kind: constituency}
corpus: {format: builtin, pool: 50, dev: 5, test: 5}
teacher: {engine: student}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCKD_DATA", raising=False)
    (tmp_path / "small.yaml").write_text(CONFIG)
    return tmp_path / "small.yaml"


def test_plan_draws_the_steps(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(config)]) == 0
    drawn = capsys.readouterr().out
    assert "train mckd stage 1 A" in drawn
    assert "train mckd-3" in drawn


def test_plan_as_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(config), "--json", "-o", "plan.stages=1"]) == 0
    steps = json.loads(capsys.readouterr().out)
    assert {step["kind"] for step in steps} == {"corpus", "gold", "train", "label", "relabel", "evaluate"}


def test_evaluate_scores_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = {"id": "1", "tokens": ["play", "it"], "tags": ["O", "B-song"], "intent": "Play"}
    for name, row in (("gold", gold), ("predicted", {"id": "1", "output": "Play O O"})):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    files = ["--gold", str(tmp_path / "gold.jsonl"), "--predicted", str(tmp_path / "predicted.jsonl")]
    assert main(["evaluate", "--task", "semantic", *files, "--linearisation", "tags", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert (scores["intent_accuracy"], scores["slot_f1"], scores["exact_match"]) == (100, 0, 0)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_is_valid(path: Path) -> None:
    from mckd_ray.config_file import read_config
    from mckd_ray.plan.experiment import plan

    assert plan(read_config(path), "content").scored


def test_the_papers_setting_on_real_craft(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MCKD_DATA", str(data))
    assert main(["plan", str(ROOT / "configs" / "craft-t5-base.yaml")]) == 0
    assert "train mckd-3 seed 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "none.yaml"], "none.yaml: no such config file"),
        (["run", "small.yaml", "-o", "plan.stages=0"], "plan.stages is 0"),
        (["run", "small.yaml", "-o", "corpus.format=jsonl"], "corpus.path"),
        (["run", "small.yaml", "-o", "corpus.format=jsonl", "-o", "corpus.path=data:craft"], "mckd data get craft"),
        (["run", "small.yaml", "-o", "store.root=/proc/none"], "cannot be written"),
        (["status", "runs/none"], "is not the folder of a run"),
        (["data", "get", "carft"], "Did you mean 'craft'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_an_address_of_a_dashboard_is_no_cluster_to_join(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    assert main(["run", "small.yaml"]) == 2
    said = capsys.readouterr().err
    assert "RAY_ADDRESS=http://127.0.0.1:8265 is that of a dashboard" in said
    assert said.count("\n") == 1


def test_wrong_use_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["plam"])
    assert stop.value.code == 2
    assert "plan" in capsys.readouterr().err


def test_doctor_looks_at_config_and_store(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(config), "--json"]) == 0
    found = {check["check"]: check["state"] for check in json.loads(capsys.readouterr().out)}
    assert found["config and corpus"] == "ok"
    assert found["store"] == "ok"


def test_doctor_weighs_the_models(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import T5Config, T5Model

    from mckd_ray.student.size import parameters

    small = T5Config(d_model=32, d_ff=64, num_layers=2, num_heads=2, d_kv=16, vocab_size=1000)
    small.save_pretrained(tmp_path / "bare")
    (whole := T5Model(small)).save_pretrained(tmp_path / "t5")
    assert parameters(str(tmp_path / "t5")) == sum(one.numel() for one in whole.parameters())
    expected = (("t5", "ok", "0.0 GiB at least"), ("none", "error", "none: is not a model"))
    for model, state, words in (*expected, ("bare", "error", "bare: has a config, but no weights")):
        config.write_text(CONFIG + f"student: {{kind: seq2seq, linearisation: words, model: {model}}}\n")
        assert main(["doctor", str(config), "--json"]) == (state == "error")
        (found,) = [one for one in json.loads(capsys.readouterr().out) if one["check"] == "student.model"]
        assert found["state"] == state
        assert words in found["found"]


def test_doctor_says_that_no_cluster_answers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    for address, words in (("http://127.0.0.1:1", "answers there"), ("127.0.0.1:1", "takes this machine in")):
        assert main(["doctor", "--address", address, "--json"]) == 1
        found = {check["check"]: check for check in json.loads(capsys.readouterr().out)}
        assert found["Ray cluster"]["state"] == "error"
        assert f"no Ray cluster {words}" in found["Ray cluster"]["found"]
