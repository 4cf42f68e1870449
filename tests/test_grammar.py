"""The built-in corpus: English-like sentences, the same for everyone, and hard in the ways that it promises."""

import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest

from mckd_ray.config import CorpusConfig, GeneralConfig
from mckd_ray.corpora import builtin, fingerprint, load
from mckd_ray.errors import DataError
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.trees import Tree, read_tree

SIZES = {"test": 60, "dev": 40, "labelled": 20, "pool": 400}


def rows(domain: str, number: int = 400, seed: int = 1) -> list[dict[str, Any]]:
    if domain == "general":
        return builtin.general_rows("constituency", number, seed)
    return builtin.target_rows("constituency", {"pool": number}, seed)["pool"]


def words(found: list[dict[str, Any]]) -> Counter[str]:
    return Counter(token.lower() for row in found for token in row["tokens"])


def constituents(tree: Tree) -> list[Tree]:
    return [tree, *(inner for child in tree.children if child.word is None for inner in constituents(child))]


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_gets_a_corpus(task: str) -> None:
    config = CorpusConfig(
        format="builtin", labelled=10, pool=100, dev=20, test=30, general=GeneralConfig(format="builtin", rows=50)
    )
    corpus = load(config, TASKS[task])
    expected = {"labelled": 10, "pool": 100, "dev": 20, "test": 30, "general": 50, "pool_gold": 100, "problems": 0}
    assert corpus.counts == expected
    for example in corpus.test:
        target = corpus.gold["test"][example.id]
        assert TASKS[task].check(target, example) == target


def test_no_sentence_occurs_twice() -> None:
    made = builtin.target_rows("constituency", SIZES, 1)
    sentences = [tuple(row["tokens"]) for part in made.values() for row in part]
    assert len(set(sentences)) == len(sentences) == sum(SIZES.values())


def test_a_sentence_does_not_depend_on_how_many_are_drawn() -> None:
    small = builtin.target_rows("constituency", {"test": 5, "labelled": 5, "pool": 20}, 1)
    large = builtin.target_rows("constituency", {"test": 5, "labelled": 9, "pool": 300}, 1)
    assert large["labelled"][:5] == small["labelled"]
    assert large["pool"][:20] == small["pool"]


def test_another_process_makes_the_same_sentences() -> None:
    code = "from mckd_ray.corpora import builtin; print(builtin.general_rows('constituency', 9, 3)[8]['tree'])"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == rows("general", 9, 3)[8]["tree"]
    assert rows("general", 9, 4) != rows("general", 9, 3)


@pytest.mark.parametrize("domain", ["general", "target"])
def test_sentences_have_a_length_and_trees_a_shape(domain: str) -> None:
    for row in rows(domain):
        tree = read_tree(row["tree"])
        assert 8 <= len(row["tokens"]) <= 25
        assert [leaf.word for leaf in tree.leaves()] == row["tokens"]
        assert tree.label == "S"
        assert tree.children[-1].label == "."
        for one, after in zip(row["tokens"], row["tokens"][1:], strict=False):
            assert not (one == "," and after in (",", "."))
            assert not (one.lower() == "a" and after[0].lower() in "aeiou")


def test_the_target_domain_differs_in_words_and_constructions() -> None:
    general, target = rows("general", 600), rows("target", 600)
    known = words(general)
    content = Counter({word: n for word, n in words(target).items() if len(word) > 5})
    new = sum(n for word, n in content.items() if word not in known)
    assert 0.5 < new / sum(content.values()) < 0.8
    for shape in ("(NML ", "(PRN ", "(NP (NP", "(CC "):
        rate = [sum(row["tree"].count(shape) for row in found) for found in (general, target)]
        assert rate[1] > 1.25 * rate[0]


def test_the_same_words_attach_high_and_low() -> None:
    """A phrase with 'with' belongs to the verb or to the noun, and the noun in it says mostly which."""
    parents: dict[str, Counter[str]] = {}
    for row in rows("general", 1000):
        for node in constituents(read_tree(row["tree"])):
            for child in node.children:
                leaves = list(child.leaves())
                if child.label == "PP" and leaves[0].word == "with" and node.label in ("NP", "VP"):
                    parents.setdefault(leaves[-1].word or "", Counter())[node.label] += 1
    total = sum(parents.values(), Counter[str]())
    best = sum(max(counts.values()) for counts in parents.values())
    majority = max(total.values()) / total.total()
    assert majority < 0.75
    assert best / total.total() > majority + 0.1


def test_a_thousand_sentences_take_under_a_second() -> None:
    start = time.process_time()
    rows("general", 1000)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("settings", [{"seed": 2}, {"labelled": 3}, {"test": 9}, {"general": {"format": "builtin"}}])
def test_the_fingerprint_follows_the_settings(settings: dict[str, Any]) -> None:
    plain = {"format": "builtin", "labelled": 2}
    changed = CorpusConfig.model_validate(plain | settings)
    assert fingerprint(changed, "text") != fingerprint(CorpusConfig.model_validate(plain), "text")
    assert fingerprint(changed, "text") != fingerprint(changed, "semantic")


def test_longest_inputs() -> None:
    config = CorpusConfig(format="builtin", labelled=2, pool=20, dev=2, test=2, max_tokens=10)
    assert max(len(example.tokens) for example in load(config, TASKS["constituency"]).pool) <= 10
    with pytest.raises(DataError, match=r"corpus.max_tokens is 7"):
        load(config.model_copy(update={"max_tokens": 7}), TASKS["constituency"])
