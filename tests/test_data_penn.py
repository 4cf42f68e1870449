"""Original Penn Treebank and CRAFT files: what is read is what the normalised corpora hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from mckd_ray.config import CorpusConfig
from mckd_ray.corpora import load, penn
from mckd_ray.corpora.rows import Row
from mckd_ray.tasks import TASKS


def read(tmp_path: Path, text: str, name: str = "doc.tree") -> list[Row]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return list(penn.rows(path))


def trees(tmp_path: Path, text: str) -> list[str]:
    return [row.problem or row.values["tree"] for row in read(tmp_path, text)]


def normalised(folder: Path, document: str) -> dict[str, dict[str, Any]]:
    found = {}
    for split in ("train", "dev", "test"):
        for line in (folder / f"{split}.jsonl").read_text("utf-8").split("\n"):
            if document in line and (row := json.loads(line))["doc"] == document:
                found[row["id"]] = row
    return found


def test_a_tree_loses_wrapper_traces_and_function_tags(tmp_path: Path) -> None:
    text = """
( (S (NP-SBJ-1 (NNS cats))
   (VP (VBP seem) (S (NP-SBJ (-NONE- *-1)) (VP (TO to) (VP (VB sleep))))) (. .)))
"""
    assert trees(tmp_path, text) == ["(S (NP (NNS cats)) (VP (VBP seem) (S (VP (TO to) (VP (VB sleep))))) (. .))"]


@pytest.mark.parametrize(
    ("corpus", "file"),
    [("craft", "11597317.tree"), ("craft", "16507151.tree"), ("ptb", "wsj_0116.mrg"), ("ptb", "wsj_0184.mrg")],
)
def test_raw_files_equal_the_normalised_rows(data: Path, corpus: str, file: str) -> None:
    path = data / "raw" / corpus / file
    read_in = {str(row.values["id"]): row for row in penn.rows(path, prefix=f"{corpus}-")}
    expected = normalised(data / corpus, path.stem)
    assert len(expected) > 5
    assert {row.problem for row in read_in.values()} == {""}
    for identifier, row in expected.items():
        assert {name: read_in[identifier].values[name] for name in row} == row


def test_document_parts_become_sections(tmp_path: Path) -> None:
    text = (
        "( (TITLE (NP (NN Genes))) )\n"
        "( (HEADING (NNS Methods)) )\n"
        "( (CAPTION (NP (NN Figure)) (NP-TTL (CD 1))) )\n"
        "( (S (NP (DT This)) (VP (VBZ is) (CAPTION (NP (PRP it))))) )\n"
    )
    assert [(row.values["section"], row.values["tree"]) for row in read(tmp_path, text)] == [
        ("title", "(NP (NN Genes))"),
        ("heading", "(NP (NNS Methods))"),
        ("caption", "(FRAG (NP (NN Figure)) (NP (CD 1)))"),
        ("body", "(S (NP (DT This)) (VP (VBZ is) (NP (PRP it))))"),
    ]


def test_labels_that_begin_with_a_dash_stay_and_unicode_spaces_go(tmp_path: Path) -> None:
    text = "( (NP (-LRB- -LRB-) (ADVP|PRT (RB o\u2009ut)) (NP=2 (CD 5\u00a0)) (-RRB- -RRB-)) )\n"
    assert trees(tmp_path, text) == ["(NP (-LRB- -LRB-) (ADVP (RB out)) (NP (CD 5)) (-RRB- -RRB-))"]


def test_a_bad_tree_is_named_and_harms_no_other(tmp_path: Path) -> None:
    rows = read(tmp_path, "( (NP (NN a)) )\n\n( (NP (NN b) )\n( (NP (-NONE- *)) )\n(NP\n  (NN c))\n")
    assert [row.where.rpartition(":")[2] for row in rows] == ["1", "3", "4", "5"]
    assert [bool(row.problem) for row in rows] == [False, True, True, False]
    assert "not closed" in rows[1].problem
    assert rows[3].values["id"] == "doc-0004"


def test_a_folder_of_documents_is_split_by_document(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"d{number}.mrg").write_text(f"( (NP (NN w{number})) )\n", encoding="utf-8")
    corpus = load(CorpusConfig(format="penn", path=str(tmp_path), labelled=5), TASKS["constituency"])
    assert len(corpus.labelled) + len(corpus.pool) + len(corpus.dev) + len(corpus.test) == 60
    assert 35 < len(corpus.pool) < 55


def test_folders_named_as_splits_are_the_splits(data: Path, tmp_path: Path) -> None:
    for split, file in (("train", "wsj_0116.mrg"), ("valid", "wsj_0184.mrg")):
        (tmp_path / split).mkdir()
        (tmp_path / split / file).write_bytes((data / "raw" / "ptb" / file).read_bytes())
    config = CorpusConfig(format="penn", path=str(tmp_path), labelled=3, files={"test": "train"}, dev=0)
    corpus = load(config.model_copy(update={"files": {"test": "valid"}}), TASKS["constituency"])
    assert {example.id.partition("-")[0] for example in corpus.pool} == {"wsj_0116"}
    assert {example.id.partition("-")[0] for example in corpus.test} == {"wsj_0184"}
