"""Scores of two files, and the answers of the reference scorers through them."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mckd_ray.errors import ConfigError, DataError
from mckd_ray.evaluation import evaluate_files

GOLD = [
    {"id": "1", "tokens": ["play", "jazz"], "tags": ["O", "B-genre"], "intent": "PlayMusic"},
    {"id": "2", "tokens": ["rate", "it"], "tags": ["O", "O"], "intent": "RateBook"},
    {"id": "3", "tokens": ["new", "york"], "tags": ["B-city", "I-city"], "intent": "GetWeather"},
]


def write(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    return write(tmp_path / "gold.jsonl", GOLD)


def score(gold: Path, rows: Iterable[Any], linearisation: str | None = None, task: str = "semantic") -> dict[str, Any]:
    predicted = write(gold.with_name("predicted.jsonl"), rows)
    result = evaluate_files(task, gold, predicted, rows=True, linearisation=linearisation)
    json.dumps(result, allow_nan=False)
    return result


def outcomes(result: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["outcome"] for row in result["rows"]}


def test_predictions_are_scored_on_gold(gold: Path) -> None:
    predicted = [GOLD[2], GOLD[0] | {"tags": ["O", "O"]}]
    result = score(gold, predicted)
    assert result["scores"]["slot_f1"] == pytest.approx(100 * 2 / 3)
    assert result["scores"]["intent_accuracy"] == pytest.approx(100 * 2 / 3)
    assert (result["task"], result["primary"], result["count"]) == ("semantic", "slot_f1", 3)
    assert result["coverage"] == pytest.approx(2 / 3)
    assert result["outcomes"] == {"ok": 2, "repaired": 0, "unparsable": 0, "failed": 1}
    assert result["breakdown"]["city"] == {"precision": 100, "recall": 100, "f1": 100, "found": 1}
    assert [(row["id"], row["outcome"], row["value"]) for row in result["rows"]] == [
        ("1", "ok", 0),
        ("2", "failed", 0),
        ("3", "ok", 100),
    ]


def test_rows_are_given_only_if_asked_for(gold: Path) -> None:
    assert "rows" not in evaluate_files("semantic", gold, gold, rows=False, linearisation=None)
    assert evaluate_files("semantic", gold, gold, rows=False, linearisation=None)["scores"]["exact_match"] == 100


def test_what_a_model_wrote_is_parsed_or_repaired(gold: Path) -> None:
    predicted = [
        {"id": "1", "output": "PlayMusic O B-genre"},
        {"id": "2", "output": "Sure! RateBook O O", "linearisation": "tags"},
        {"id": "3", "output": "intent: GetWeather; city: new york", "linearisation": "frame"},
    ]
    result = score(gold, predicted, "tags")
    assert outcomes(result) == {"1": "ok", "2": "repaired", "3": "ok"}
    assert result["scores"]["exact_match"] == 100
    assert [row["reason"] == "" for row in result["rows"]] == [True, False, True]


def test_what_is_no_annotation_of_the_tokens_is_counted_not_refused(gold: Path) -> None:
    predicted = [
        {"id": "1", "tags": ["O", "I-genre"], "intent": "PlayMusic"},
        {"id": "2", "tags": ["O"], "intent": "RateBook"},
        {"id": "3", "tokens": ["old", "york"], "tags": ["B-city", "I-city"], "intent": "GetWeather"},
    ]
    result = score(gold, predicted)
    assert outcomes(result) == {"1": "repaired", "2": "unparsable", "3": "unparsable"}
    assert result["counts"]["correct_chunks"] == 1
    assert result["scores"]["intent_accuracy"] == pytest.approx(100 / 3)


def test_no_answer_is_failed_and_an_empty_one_unparsable(gold: Path) -> None:
    predicted = [{"id": "1", "output": None}, {"id": "2", "tokens": ["rate", "it"]}, {"id": "3", "output": " "}]
    assert outcomes(score(gold, predicted, "tags")) == {"1": "failed", "2": "failed", "3": "unparsable"}


def test_an_empty_text_is_an_answer(tmp_path: Path) -> None:
    gold = write(tmp_path / "gold.jsonl", [{"id": str(n), "text": "a", "target": "b c d"} for n in range(3)])
    predicted = [{"id": "0", "output": ""}, {"id": "1", "target": ""}, {"id": "2", "target": "b c d"}]
    result = score(gold, predicted, task="text")
    assert result["coverage"] == 1
    assert result["scores"]["exact_match"] == pytest.approx(100 / 3)


def test_a_tree_over_other_words_is_counted_not_refused(tmp_path: Path) -> None:
    trees = ["(S (NP (NN a)) (VP (VB b)))", "(S (NN a) (VB b))", "(S (NN a) (VB b))"]
    gold = write(tmp_path / "gold.jsonl", [{"id": str(n), "tree": tree} for n, tree in enumerate(trees)])
    predicted = [{"id": "0", "tree": trees[0]}, {"id": "1", "tree": "(S (NN a))"}, {"id": "2", "tree": "(S (NN a"}]
    result = score(gold, predicted, task="constituency")
    assert outcomes(result) == {"0": "ok", "1": "unparsable", "2": "unparsable"}
    assert result["scores"]["unlabelled_f1"] == pytest.approx(100 / 3)
    assert [row["counts"]["evalb_scored"] for row in result["rows"]] == [1, 0, 0]
    written = score(
        gold, [{"id": "0", "output": "( ( a ) ( c ) )"}, {"id": "1", "output": "( ( a"}], "words", "constituency"
    )
    assert outcomes(written) == {"0": "unparsable", "1": "repaired", "2": "failed"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            b'{"id": "1", "tags": ["O", "O"]}\n{"id": "9", "tags": ["O"]}\n',
            "predicted.jsonl:2: no gold row has the id '9'",
        ),
        (b'{"id": "1"}\n\n{"id": "1"}\n', "predicted.jsonl:3: the id '1' occurs twice"),
        (b'{"id": "1", "tags": \n', "predicted.jsonl:1: is not JSON"),
        (b"[1, 2]\n", "predicted.jsonl:1: holds list"),
        (b'{"id": "1"}\n{"id": "\xff"}\n', "predicted.jsonl:2: is not UTF-8"),
        (b'{"tags": ["O", "O"]}\n', "predicted.jsonl:1: 'id' is None"),
        (b'{"id": "1", "tags": "O O"}\n', "predicted.jsonl:1: 'tags' is 'O O'"),
        (b'{"id": "1", "output": 5, "linearisation": "tags"}\n', "predicted.jsonl:1: 'output' is 5"),
    ],
)
def test_a_bad_prediction_file_is_refused_with_its_line(gold: Path, text: bytes, reason: str) -> None:
    predicted = gold.with_name("predicted.jsonl")
    predicted.write_bytes(text)
    with pytest.raises(DataError, match=reason):
        evaluate_files("semantic", gold, predicted, rows=False, linearisation=None)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([GOLD[0], GOLD[0]], "gold.jsonl:2: the id '1' occurs twice"),
        ([{"id": "1", "tokens": ["a"]}], "gold.jsonl:1: gold needs 'tags'"),
        ([GOLD[0], GOLD[1] | {"tags": ["O", "I-x"]}], "gold.jsonl:2: token 2 has the tag 'I-x' after 'O'"),
        ([], "holds no rows"),
    ],
)
def test_bad_gold_is_refused_with_its_line(tmp_path: Path, rows: list[Any], reason: str) -> None:
    gold = write(tmp_path / "gold.jsonl", rows)
    with pytest.raises(DataError, match=reason):
        score(gold, [])


def test_what_is_not_there_is_refused(gold: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl: cannot be read"):
        evaluate_files("semantic", gold, tmp_path / "nowhere.jsonl", rows=False, linearisation=None)
    with pytest.raises(ConfigError, match="Did you mean 'semantic'"):
        evaluate_files("semantics", gold, gold, rows=False, linearisation=None)
    with pytest.raises(ConfigError, match=r"predicted\.jsonl:1: .*Did you mean 'tags'"):
        score(gold, [{"id": "1", "output": "PlayMusic O O"}], "tag")
    with pytest.raises(ConfigError, match="Allowed: frame, interleaved, tags"):
        score(gold, [{"id": "1", "output": "PlayMusic O O"}])


def oracle(data: Path, name: str) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in (data / "oracles" / name).read_text("utf-8").splitlines())


def test_every_answer_of_conlleval(data: Path, tmp_path: Path) -> None:
    for group in oracle(data, "conlleval.jsonl"):
        tokens = {row["id"]: [f"w{n}" for n in range(len(row["gold"]))] for row in group["rows"]}
        gold = [{"id": row["id"], "tokens": tokens[row["id"]], "tags": row["gold"]} for row in group["rows"]]
        predicted = [{"id": row["id"], "tags": row["predicted"]} for row in group["rows"]]
        result = score(write(tmp_path / "gold.jsonl", gold), predicted)
        for kind in ("gold_chunks", "found_chunks", "correct_chunks"):
            assert result["counts"][kind] == group[kind]
            assert sum(row["counts"][kind] for row in result["rows"]) == group[kind]
        names = {"tag_accuracy": "accuracy", "slot_precision": "precision", "slot_recall": "recall", "slot_f1": "f1"}
        assert {theirs: round(result["scores"][ours], 2) for ours, theirs in names.items()} == {
            theirs: group[theirs] for theirs in names.values()
        }
        rounded = {
            slot: {name: round(value, 2) for name, value in scores.items()}
            for slot, scores in result["breakdown"].items()
        }
        assert rounded == group["by_slot"]


def test_every_answer_of_evalb(data: Path, tmp_path: Path) -> None:
    pairs = list(oracle(data, "evalb-collins.jsonl"))
    gold = write(tmp_path / "gold.jsonl", [{"id": row["id"], "tree": row["gold"]} for row in pairs])
    result = score(gold, [{"id": row["id"], "tree": row["predicted"]} for row in pairs], task="constituency")
    for pair, row in zip(pairs, result["rows"], strict=True):
        counts = row["counts"]
        assert counts["evalb_scored"] == (pair["status"] == 0), pair["id"]
        if pair["status"] == 0:
            theirs = ("matched", "gold_brackets", "predicted_brackets", "crossing", "scored_words", "correct_tags")
            ours = ("matched", "gold", "predicted", "crossing", "words", "tags")
            assert [counts[f"evalb_{name}"] for name in ours] == [pair[name] for name in theirs], pair["id"]
    scored = [pair for pair in pairs if pair["status"] == 0]
    matched, wanted, found = (
        sum(pair[key] for pair in scored) for key in ("matched", "gold_brackets", "predicted_brackets")
    )
    assert result["scores"]["evalb_f1"] == pytest.approx(100 * 2 * matched / (wanted + found))


def test_every_answer_of_the_papers_scorer(data: Path, tmp_path: Path) -> None:
    rows = list(oracle(data, "unlabelled-f1.jsonl"))
    gold = write(tmp_path / "gold.jsonl", [{"id": row["id"], "tree": row["gold"]} for row in rows])
    result = score(gold, [{"id": row["id"], "output": row["raw"]} for row in rows], "words", task="constituency")
    compared = 0
    for theirs, ours in zip(rows, result["rows"], strict=True):
        if theirs["parsed"] and not theirs["corrupted"]:
            compared += 1
            names = ("f1", "precision", "recall")
            found = {name: ours["counts"][f"unlabelled_{name}"] for name in names}
            assert found == pytest.approx({name: theirs[name] for name in names}), theirs["id"]
    assert compared == 311
