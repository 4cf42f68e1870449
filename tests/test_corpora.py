"""Corpora of a user's own files: load, fingerprint, and what is said about files that cannot be used."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mckd_ray.config import CorpusConfig, GeneralConfig
from mckd_ray.corpora import fingerprint, load
from mckd_ray.errors import DataError
from mckd_ray.tasks import TASKS

TREES, SLOTS, TEXT = TASKS["constituency"], TASKS["semantic"], TASKS["text"]


def tree_row(number: int) -> dict[str, Any]:
    return {"id": f"r{number}", "tokens": ["cat", f"n{number}"], "tree": f"(NP (NN cat) (CD n{number}))"}


def write(folder: Path, **splits: list[dict[str, Any]] | str) -> Path:
    folder.mkdir(exist_ok=True)
    for split, rows in splits.items():
        text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [tree_row(number) for number in range(60)]
    return write(tmp_path / "corpus", train=rows[:40], dev=rows[40:50], test=rows[50:])


def config(folder: Path, **settings: Any) -> CorpusConfig:
    return CorpusConfig(path=str(folder), **({"labelled": 5} | settings))


def test_a_folder_becomes_budget_pool_dev_and_test(folder: Path) -> None:
    corpus = load(config(folder, pool=20, dev=4), TREES)
    assert corpus.counts == {
        "labelled": 5,
        "pool": 20,
        "dev": 4,
        "test": 10,
        "general": 0,
        "pool_gold": 20,
        "problems": 0,
    }
    assert corpus.labelled[0].target.startswith("(NP (NN cat)")
    assert not {row.id for row in corpus.labelled} & {example.id for example in corpus.pool}
    assert set(corpus.gold["test"]) == {example.id for example in corpus.test}


def test_held_out_rows_of_the_budget_are_dev_and_nothing_else(folder: Path) -> None:
    whole = load(config(folder, dev=0), TREES)
    corpus = load(config(folder, dev=0, held_out=2), TREES)
    assert [row.id for row in corpus.labelled] == [row.id for row in whole.labelled[2:]]
    assert [example.id for example in corpus.dev] == [row.id for row in whole.labelled[:2]]
    assert corpus.gold["dev"] == {row.id: row.target for row in whole.labelled[:2]}
    assert corpus.pool == whole.pool
    larger = load(config(folder, dev=0, held_out=2, labelled=10), TREES)
    assert larger.dev == corpus.dev, "scores at two sizes of the budget can be compared"


def test_a_held_out_input_that_stands_in_train_twice_is_not_trained_on(tmp_path: Path) -> None:
    rows = [tree_row(number) for number in range(20)]
    again = [{**row, "id": f"again-{row['id']}"} for row in rows]
    folder = write(tmp_path / "corpus", train=[*rows, *again], test=[tree_row(99)])
    corpus = load(config(folder, dev=0, held_out=4, labelled=20), TREES)
    held_out = {example.source for example in corpus.dev}
    assert len(corpus.dev) == 4
    assert not held_out & {row.example.source for row in corpus.labelled}
    assert not held_out & {example.source for example in corpus.pool}


def test_what_is_held_out_is_part_of_the_fingerprint(folder: Path) -> None:
    prints = [fingerprint(config(folder, dev=0, held_out=count), "constituency") for count in (0, 2)]
    assert prints[0] != prints[1]


@pytest.mark.parametrize(
    ("name", "task", "test"), [("craft", TREES, 872), ("ptb", TREES, 597), ("atis", SLOTS, 804), ("snips", SLOTS, 630)]
)
def test_the_real_corpora_load(data: Path, tmp_path: Path, name: str, task: Any, test: int) -> None:
    # Reading all of CRAFT takes ten seconds: its dev and test stand in for its train.
    files = {"train": "dev.jsonl", "dev": "train.jsonl"} if name == "craft" else {}
    corpus = load(config(data / name, labelled=50, files=files, dev=0), task)
    assert len(corpus.test) == test
    assert corpus.problems == []


def test_the_labelled_budget_of_50_is_a_prefix_of_that_of_100(data: Path) -> None:
    small, large = (load(config(data / "atis", labelled=budget), SLOTS).labelled for budget in (50, 100))
    assert large[:50] == small


def test_rows_of_train_may_lack_gold(tmp_path: Path) -> None:
    rows = [tree_row(number) for number in range(20)]
    train = [row if number < 6 else {"id": row["id"], "tokens": row["tokens"]} for number, row in enumerate(rows)]
    corpus = load(config(write(tmp_path / "c", train=train, test=[tree_row(99)]), dev=0), TREES)
    assert {row.id for row in corpus.labelled} < {f"r{number}" for number in range(6)}
    assert (len(corpus.pool), len(corpus.gold["pool"])) == (15, 1)


def test_general_gold_has_ids_of_its_own(folder: Path) -> None:
    corpus = load(config(folder, general=GeneralConfig(path=str(folder), rows=30)), TREES)
    assert len(corpus.general) == 30
    assert not {row.id for row in corpus.general} & {example.id for example in corpus.pool}


def test_a_few_bad_rows_are_named_and_left_out(tmp_path: Path) -> None:
    rows = [tree_row(number) for number in range(400)]
    rows[6] |= {"tree": "(NP (NN cat) (CD n6)"}
    rows[7] |= {"tokens": ["cat", "dog"]}
    rows[8] |= {"id": "r1"}
    folder = write(tmp_path / "c", train=rows, test=[tree_row(999)])
    corpus = load(config(folder, dev=0), TREES)
    assert len(corpus.pool) == 392
    assert [problem.partition(": ")[0] for problem in corpus.problems] == [
        f"{folder}/train.jsonl:{n}" for n in (7, 8, 9)
    ]
    assert "already that of" in corpus.problems[2]


def test_what_train_shares_with_test_is_left_out_and_counted(folder: Path) -> None:
    with (folder / "train.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(tree_row(number) | {"id": f"again{number}"}) + "\n" for number in (50, 51, 42))
    corpus = load(config(folder), TREES)
    assert len(corpus.pool) == 35
    assert len(corpus.problems) == 1
    assert "train.jsonl:41" in corpus.problems[0]
    assert "all 3 such rows of train" in corpus.problems[0]


def bad_tree(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"tree": "(NP (NN cat)"}


BAD_ROWS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "an unbalanced tree": (TREES, {"tokens": ["a"], "tree": "(NP (NN a)"}, "not closed"),
    "leaves that are not the tokens": (TREES, {"tokens": ["a", "b"], "tree": "(NP (NN a) (NN c))"}, "token 2"),
    "tags and tokens of different length": (SLOTS, {"tokens": ["a", "b"], "tags": ["O"], "intent": "x"}, "tags"),
    "I- without B-": (SLOTS, {"tokens": ["a", "b"], "tags": ["O", "I-x"], "intent": "x"}, "I-x"),
    "a token with spaces": (SLOTS, {"tokens": ["a b"], "tags": ["O"], "intent": "x"}, "white space"),
    "a tree that is no string": (TREES, {"tokens": ["a"], "tree": 3}, "string"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_corpus_of_bad_rows_is_an_error_that_names_the_line(tmp_path: Path, case: str) -> None:
    task, row, words = BAD_ROWS[case]
    folder = write(tmp_path / "c", train=[{"id": "x"} | row], test=[{"id": "x"} | row])
    with pytest.raises(DataError, match=words) as error:
        load(config(folder, dev=0), task)
    assert "test.jsonl:1: " in str(error.value)
    assert "bad rows of test: 1 of 1" in str(error.value)


def empty(folder: Path) -> None:
    (folder / "train.jsonl").write_text("")


def not_json(folder: Path) -> None:
    (folder / "train.jsonl").write_text("tokens,tree\n")


def not_utf8(folder: Path) -> None:
    with (folder / "train.jsonl").open("ab") as file:
        file.write(b'{"id": "caf\xe9"}\n')


def gone(folder: Path) -> None:
    (folder / "train.jsonl").unlink()


def a_folder_instead(folder: Path) -> None:
    gone(folder)
    (folder / "train.jsonl").mkdir()


def id_in_two_splits(folder: Path) -> None:
    write(folder, dev=[tree_row(100) | {"id": "r3"}])


def duplicate_id(folder: Path) -> None:
    write(folder, dev=[tree_row(100), tree_row(101) | {"id": "r100"}])


def gold_missing_in_test(folder: Path) -> None:
    write(folder, test=[{"id": "t", "tokens": ["a"]}])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (empty, r"train.jsonl: is empty; train needs one row"),
        (not_json, r"train.jsonl:1: not JSON"),
        (not_utf8, r"train.jsonl:41: is not UTF-8 \(byte 12 of the line\)"),
        (gone, r"train.jsonl: does not exist"),
        (a_folder_instead, r"train.jsonl: cannot be read"),
        (id_in_two_splits, r"train.jsonl:4: id 'r3' is also in another split \(.*dev.jsonl:1\)"),
        (duplicate_id, r"dev.jsonl:2: id 'r100' is already that of .*dev.jsonl:1"),
        (gold_missing_in_test, r"test.jsonl:1: no gold"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(folder: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(folder)
    with pytest.raises(DataError, match=words):
        load(config(folder), TREES)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"labelled": 41}, "corpus.labelled is 41, but there are only 40 rows of train with gold"),
        ({"pool": 36}, "corpus.pool is 36, but there are only 35 other rows of train"),
        ({"test": 11}, "corpus.test is 11, but there are only 10 rows of test"),
        ({"fields": {"tree": "parse"}}, "has no column 'parse', which corpus.fields.tree names"),
        ({"files": {"test": "held-out.jsonl"}}, "held-out.jsonl: does not exist"),
        ({"path": ""}, "corpus.path is not set"),
    ],
)
def test_settings_that_the_corpus_cannot_meet(folder: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(config(folder, **settings) if "path" not in settings else CorpusConfig(**settings), TREES)


def test_a_published_corpus_that_is_not_there_says_how_to_get_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MCKD_DATA", str(tmp_path))
    with pytest.raises(DataError, match="`mckd data get snips` downloads it"):
        load(CorpusConfig(path="data:snips"), SLOTS)
    with pytest.raises(DataError, match="`mckd data get snips` downloads it"):
        fingerprint(CorpusConfig(path="data:snips"), "semantic")


def test_data_names_lie_below_mckd_data(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MCKD_DATA", str(folder.parent))
    assert load(CorpusConfig(path="data:corpus", labelled=5), TREES) == load(config(folder), TREES)


def test_the_fingerprint_follows_content_and_not_place(folder: Path, tmp_path: Path) -> None:
    first = fingerprint(config(folder), "constituency")
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    (elsewhere / "dev.jsonl").rename(elsewhere / "held.jsonl")
    assert fingerprint(config(elsewhere, files={"dev": "held.jsonl"}), "constituency") == first
    with (elsewhere / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(tree_row(77)) + "\n")
    assert fingerprint(config(elsewhere, files={"dev": "held.jsonl"}), "constituency") != first


@pytest.mark.parametrize("settings", [{"labelled": 6}, {"pool": 9}, {"seed": 2}, {"max_tokens": 9}, {"test": 5}])
def test_the_fingerprint_follows_the_settings(folder: Path, settings: dict[str, Any]) -> None:
    assert fingerprint(config(folder, **settings), "constituency") != fingerprint(config(folder), "constituency")


def test_long_inputs_can_be_left_out(folder: Path) -> None:
    with pytest.raises(DataError, match="only 0 rows"):
        load(config(folder, max_tokens=1), TREES)
