"""The published corpora that `mckd data get` knows: where each lies, at which commit, and on what terms."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from mckd_ray.errors import DataError, nearest


@dataclass(frozen=True)
class Split:
    """What is kept of a split: by source document, or by source folder, the places (from 1) of its rows.

    `sha256` is that of the JSONL file that must come out.
    """

    sha256: str
    keep: Mapping[str, str]

    def documents(self) -> Iterator[tuple[str, frozenset[int]]]:
        """Each source document or folder with the places that are kept, in the order of the file."""
        for document, ranges in self.keep.items():
            yield document, frozenset(place for cell in ranges.split(",") for place in _range(cell))


@dataclass(frozen=True)
class Published:
    """A corpus that somebody else publishes in a repository on GitHub."""

    name: str
    title: str
    task: str
    format: Literal["penn", "slu"]
    repository: str
    commit: str
    path: str
    """A source file in the repository; {document}, or {folder} and {file}, stand for its parts."""
    licence: str
    cite: str

    @property
    def splits(self) -> dict[str, Split]:
        """What is kept of the source, and its checksums, by split."""
        return {split: Split(values["sha256"], values["keep"]) for split, values in _manifest()[self.name].items()}


CATALOGUE: dict[str, Published] = {
    published.name: published
    for published in (
        Published(
            name="craft",
            title="CRAFT 5.0.2 treebank: constituency trees of biomedical articles",
            task="constituency",
            format="penn",
            repository="UCDenver-ccp/CRAFT",
            commit="2abe82b8bb8089448b84937d5f61d8c218011322",
            path="structural-annotation/treebank/penn/{document}.tree",
            licence="annotations CC BY 3.0; the articles are from the PubMed Central Open Access subset, each under "
            "its publisher's terms",
            cite="Bada et al. 2012; Verspoor et al. 2012",
        ),
        Published(
            name="ptb",
            title="Penn Treebank sample: 199 files of the Wall Street Journal",
            task="constituency",
            format="penn",
            repository="nltk/nltk_data",
            commit="5db857e6f7df11eabb5e5665836db9ec8df07e28",
            path="packages/corpora/treebank.zip!treebank/combined/{document}.mrg",
            licence="(C) University of Pennsylvania / LDC 1995; a sample for illustration, non-commercial use only",
            cite="Marcus et al. 1993, 1994",
        ),
        Published(
            name="atis",
            title="ATIS: slots and intents of air travel queries",
            task="semantic",
            format="slu",
            repository="MiuLab/SlotGated-SLU",
            commit="61f0307c729b1fad479ef1de94aa5ac5dee601b0",
            path="data/atis/{folder}/{file}",
            licence="none stated by the repository; the underlying ATIS corpora are distributed by the LDC",
            cite="Hemphill et al. 1990; Goo et al. 2018 (splits)",
        ),
        Published(
            name="snips",
            title="Snips: slots and intents of voice assistant queries",
            task="semantic",
            format="slu",
            repository="MiuLab/SlotGated-SLU",
            commit="61f0307c729b1fad479ef1de94aa5ac5dee601b0",
            path="data/snips/{folder}/{file}",
            licence="none stated by the repository; the original data, sonos/nlu-benchmark, is CC0 1.0",
            cite="Coucke et al. 2018, arXiv:1805.10190; Goo et al. 2018 (splits)",
        ),
    )
}


def published(name: str) -> Published:
    """The published corpus `name`. Raises DataError for another name."""
    if name not in CATALOGUE:
        raise DataError(f"'{name}' is not a corpus that can be downloaded.{nearest(name, CATALOGUE)}")
    return CATALOGUE[name]


@cache
def _manifest() -> dict[str, dict[str, Any]]:
    manifest: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("manifest.json").read_text("utf-8"))
    return manifest


def _range(cell: str) -> range:
    first, _, last = cell.partition("-")
    return range(int(first), int(last or first) + 1)
