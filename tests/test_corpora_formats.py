"""The other formats: slot files, CSV, Parquet and saved Hugging Face datasets give the same rows as JSONL."""

import csv
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mckd_ray.config import CorpusConfig
from mckd_ray.corpora import fingerprint, load
from mckd_ray.corpora.corpus import read_split
from mckd_ray.errors import DataError
from mckd_ray.tasks import TASKS

SLOTS, TEXT = TASKS["semantic"], TASKS["text"]
SPLITS = ("train", "dev", "test")


def slot_rows(split: str) -> list[dict[str, Any]]:
    return [
        {"id": f"{split}{n}", "tokens": ["to", f"{split}{n}", "now"], "tags": ["O", "B-city", "O"], "intent": "fly"}
        for n in range(8)
    ]


@pytest.mark.parametrize("name", ["atis", "snips"])
@pytest.mark.parametrize(("folder", "split"), [("train", "train"), ("valid", "dev"), ("test", "test")])
def test_slot_files_equal_the_normalised_rows(data: Path, name: str, folder: str, split: str) -> None:
    problems: list[str] = []
    entries = read_split(CorpusConfig(format="slu", path=str(data / "raw" / name)), split, SLOTS, problems)
    assert (len(entries), problems) == (50, [])
    read_in = {f"{name}-{entry.example.id}": SLOTS.write(entry.example, entry.target or "") for entry in entries}
    rows = [json.loads(line) for line in (data / name / f"{split}.jsonl").read_text("utf-8").splitlines()[:50]]
    known = [row for row in rows if row["id"] in read_in]
    assert len(known) > 30
    assert all(read_in[row["id"]] | {"id": row["id"]} == row for row in known)


def test_slot_files_of_different_length_are_an_error(tmp_path: Path) -> None:
    for name, text in (("seq.in", "a b\nc\n"), ("seq.out", "O O\n"), ("label", "x\ny\n")):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / name).write_text(text)
    with pytest.raises(DataError, match=r"seq.in 2, seq.out 1, label 2"):
        read_split(CorpusConfig(format="slu", path=str(tmp_path)), "train", SLOTS, [])


def save_csv(folder: Path) -> None:
    for split in SPLITS:
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["key", "words", "slots", "intent"])
            writer.writerows(
                [row["id"], " ".join(row["tokens"]), " ".join(row["tags"]), row["intent"]] for row in slot_rows(split)
            )


def save_parquet(folder: Path) -> None:
    for split in SPLITS:
        rows = [
            {"key": row["id"], "words": row["tokens"], "slots": row["tags"], "intent": row["intent"]}
            for row in slot_rows(split)
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")


def save_huggingface(folder: Path) -> None:
    names = datasets.ClassLabel(names=["O", "B-city"])
    features = datasets.Features(
        {
            "key": datasets.Value("string"),
            "words": datasets.List(datasets.Value("string")),
            "slots": datasets.List(names),
            "intent": datasets.ClassLabel(names=["stay", "fly"]),
        }
    )
    for split in SPLITS:
        rows = [
            {"key": row["id"], "words": row["tokens"], "slots": [0, 1, 0], "intent": "fly"} for row in slot_rows(split)
        ]
        table = datasets.Dataset.from_list(rows, features=features)
        table.save_to_disk(str(folder / {"dev": "validation"}.get(split, split)))


@pytest.mark.parametrize(
    ("format", "save"), [("csv", save_csv), ("parquet", save_parquet), ("huggingface", save_huggingface)]
)
def test_each_format_gives_the_rows_of_jsonl(tmp_path: Path, format: Any, save: Any) -> None:  # noqa: A002
    for split in SPLITS:
        text = "".join(json.dumps(row) + "\n" for row in slot_rows(split))
        (tmp_path / f"{split}.jsonl").write_text(text, encoding="utf-8")
    save(tmp_path)
    fields = {"id": "key", "tokens": "words", "tags": "slots"}
    config = CorpusConfig(format=format, path=str(tmp_path), fields=fields, labelled=3)
    assert load(config, SLOTS) == load(CorpusConfig(path=str(tmp_path), labelled=3), SLOTS)
    assert fingerprint(config, "semantic") == fingerprint(config, "semantic")


def test_text_rows_of_a_spreadsheet_need_no_ids(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text('question,answer\n"one,\ntwo",12\n"Why?",\n')
    (tmp_path / "test.csv").write_text("question,answer\nwho,me\n")
    fields = {"text": "question", "target": "answer"}
    corpus = load(CorpusConfig(format="csv", path=str(tmp_path), fields=fields, labelled=1, dev=0), TEXT)
    assert [(row.id, row.text, row.target) for row in corpus.labelled] == [("train-00001", "one,\ntwo", "12")]
    assert [example.text for example in corpus.pool] == ["Why?"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "train.csv: is empty"),
        ("id,text\n", "train.csv: is empty; train needs"),
        ("id,text\na,b,c\n", "train.csv:2: has not the 2 cells"),
        ('id,text\na,"b\n', "is not CSV"),
    ],
)
def test_csv_that_cannot_be_read(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        read_split(CorpusConfig(format="csv", path=str(tmp_path)), "train", TEXT, [])


def test_parquet_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR2")
    with pytest.raises(DataError, match=r"train.parquet: cannot be read as Parquet"):
        read_split(CorpusConfig(format="parquet", path=str(tmp_path)), "train", TEXT, [])


def test_a_folder_that_is_no_saved_dataset(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "data.arrow").write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not a dataset that `save_to_disk` wrote"):
        read_split(CorpusConfig(format="huggingface", path=str(tmp_path)), "train", TEXT, [])


def test_a_hub_dataset_is_named_with_its_revision() -> None:
    with pytest.raises(DataError, match="write owner/name@COMMIT"):
        fingerprint(CorpusConfig(format="huggingface", path="owner/name"), "text")
    one, two = (CorpusConfig(format="huggingface", path=f"owner/name@{commit}") for commit in ("a1", "b2"))
    assert fingerprint(one, "text") != fingerprint(two, "text")
