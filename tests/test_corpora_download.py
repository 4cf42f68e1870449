"""`mckd data get`: from a server with the original files to checked JSONL, and what goes wrong on the way."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mckd_ray.corpora import penn
from mckd_ray.corpora.catalogue import CATALOGUE, Published, Split, published
from mckd_ray.corpora.download import get
from mckd_ray.errors import DataError
from tests.local_server import answering


@dataclass(frozen=True)
class Small(Published):
    """A published corpus of which only a few documents are kept."""

    kept: dict[str, Split] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, Split]:
        return self.kept


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which its files are served."""
    folder = tmp_path / "site"
    folder.mkdir()
    with answering(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))) as address:
        yield folder, address


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MCKD_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return tmp_path / "data"


def publish(site: Path, corpus: Published, path: str, source: Path) -> Path:
    target = site / corpus.repository / corpus.commit / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    return target


def small(name: str, keep: dict[str, dict[str, str]], texts: dict[str, str]) -> Small:
    kept = {split: Split(hashlib.sha256(texts[split].encode()).hexdigest(), keep[split]) for split in keep}
    values = {key: value for key, value in vars(CATALOGUE[name]).items() if key != "splits"}
    return Small(**values, kept=kept)


def expected(folder: Path, document: str) -> tuple[str, str]:
    """The lines of a document in the normalised corpus, and the places that they have there."""
    lines = [line for line in (folder / "train.jsonl").read_text("utf-8").split("\n") if f'"{document}"' in line]
    places = ",".join(str(int(json.loads(line)["id"][-4:])) for line in lines)
    return "".join(f"{line}\n" for line in lines), places


@pytest.fixture
def craft(data: Path, site: tuple[Path, str]) -> Small:
    documents = {"train": "11597317", "test": "16507151"}
    texts, keep = {}, {}
    for split, document in documents.items():
        texts[split], places = expected(data / "craft", document)
        keep[split] = {document: places}
        path = CATALOGUE["craft"].path.format(document=document)
        publish(site[0], CATALOGUE["craft"], path, data / "raw" / "craft" / f"{document}.tree")
    return small("craft", keep, texts)


def test_get_writes_the_normalised_rows_and_says_the_licence(
    data: Path, home: Path, craft: Small, site: tuple[Path, str]
) -> None:
    said: list[str] = []
    folder = get(craft, said.append, site[1])
    assert folder == home / "craft"
    assert (folder / "train.jsonl").read_text("utf-8") == expected(data / "craft", "11597317")[0]
    assert (folder / "test.jsonl").read_text("utf-8") == expected(data / "craft", "16507151")[0]
    assert "CC BY 3.0" in said[0]
    assert craft.commit in said[1]
    assert [path.name for path in home.iterdir()] == ["craft"]
    assert "already there" in (get(craft, said.append, "http://127.0.0.1:9"), said[-1])[1]


def test_a_member_of_an_archive(data: Path, tmp_path: Path, home: Path, site: tuple[Path, str]) -> None:
    text, places = expected(data / "ptb", "wsj_0184")
    corpus = small("ptb", {"train": {"wsj_0184": places}}, {"train": text})
    archive = tmp_path / "treebank.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(data / "raw" / "ptb" / "wsj_0184.mrg", "treebank/combined/wsj_0184.mrg")
    publish(site[0], corpus, "packages/corpora/treebank.zip", archive)
    assert (get(corpus, print, site[1]) / "train.jsonl").read_text("utf-8") == text


def test_slot_files(data: Path, home: Path, site: tuple[Path, str]) -> None:
    lines = (data / "snips" / "dev.jsonl").read_text("utf-8").split("\n")
    kept = [line for line in lines if line and int(json.loads(line)["id"][-5:]) <= 50]
    text = "".join(f"{line}\n" for line in kept)
    places = ",".join(str(int(json.loads(line)["id"][-5:])) for line in kept)
    corpus = small("snips", {"dev": {"valid": places}}, {"dev": text})
    for name in ("seq.in", "seq.out", "label"):
        publish(site[0], corpus, f"data/snips/valid/{name}", data / "raw" / "snips" / "valid" / name)
    assert (get(corpus, print, site[1]) / "dev.jsonl").read_text("utf-8") == text


def test_content_that_is_not_what_was_published_is_refused(home: Path, craft: Small, site: tuple[Path, str]) -> None:
    path = site[0] / craft.repository / craft.commit / craft.path.format(document="16507151")
    path.write_text(path.read_text("utf-8").replace("(NN ", "(NNP ", 1), encoding="utf-8")
    with pytest.raises(DataError, match=r"craft/test.jsonl: has the SHA-256 \w+, not \w+.*Nothing was kept"):
        get(craft, print, site[1])
    assert list(home.iterdir()) == []


def test_a_folder_with_other_content_is_left_alone(home: Path, craft: Small, site: tuple[Path, str]) -> None:
    (home / "craft").mkdir(parents=True)
    (home / "craft" / "train.jsonl").write_text("mine\n")
    with pytest.raises(DataError, match="is not what `mckd data get craft` writes; move"):
        get(craft, print, site[1])
    assert (home / "craft" / "train.jsonl").read_text() == "mine\n"


def test_without_a_network_one_sentence_says_so(home: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be reached .* Is there a network"):
        get(CATALOGUE["atis"], print, "http://127.0.0.1:9")
    assert list(home.iterdir()) == []


def test_a_file_that_is_gone(site: tuple[Path, str]) -> None:
    with pytest.raises(DataError, match="the server answered 404"):
        get(CATALOGUE["snips"], print, site[1])


def test_a_broken_archive(site: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("no archive")
    publish(site[0], CATALOGUE["ptb"], "packages/corpora/treebank.zip", tmp_path / "x.zip")
    with pytest.raises(DataError, match="is not the archive that was published"):
        get(CATALOGUE["ptb"], print, site[1])


def test_a_name_that_nobody_publishes() -> None:
    with pytest.raises(DataError, match=r"'snip' is not a corpus .* Did you mean 'snips'"):
        published("snip")


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_the_checksums_are_those_of_the_normalised_corpora(data: Path, name: str) -> None:
    for split, values in CATALOGUE[name].splits.items():
        content = (data / name / f"{split}.jsonl").read_bytes()
        assert hashlib.sha256(content).hexdigest() == values.sha256
        assert sum(len(places) for _, places in values.documents()) == content.count(b"\n")


def test_the_places_that_are_kept_exist_in_the_raw_files(data: Path) -> None:
    kept = dict(CATALOGUE["craft"].splits["train"].documents())["11597317"]
    assert max(kept) <= len(list(penn.rows(data / "raw" / "craft" / "11597317.tree")))
