"""Batches: inputs of many requests, of like length, within the budget; and the tokens of raw text."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mckd_ray.records import Example, Label, Outcome
from mckd_ray.serving.batching import Batcher
from mckd_ray.serving.settings import Batching
from mckd_ray.serving.tokenise import tokenise


class Recording:
    """Labels each input with its length, and keeps the lengths of each batch; it can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()

    def label(self, examples: Sequence[Example]) -> list[Label]:
        assert self.go.wait(60)
        self.batches.append([len(example.tokens) for example in examples])
        return [Label(example.id, str(len(example.tokens)), "", Outcome.OK) for example in examples]


def example(length: int) -> Example:
    return Example("", tokens=("x",) * length)


async def answered(batcher: Batcher, lengths: Sequence[int]) -> list[str]:
    calls = [asyncio.create_task(batcher.label([example(length)])) for length in lengths]
    return [label.target for call in calls for label in await call]


def test_inputs_that_come_together_are_labelled_together() -> None:
    model = Recording()

    async def go() -> list[str]:
        batcher = Batcher(model.label, Batching(tokens=100))
        model.go.clear()
        first = asyncio.create_task(batcher.label([example(3)]))
        while batcher.idle:
            await asyncio.sleep(0)
        rest = asyncio.create_task(answered(batcher, [5, 40, 6, 41, 4]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        model.go.set()
        return [label.target for label in await first] + await rest

    assert asyncio.run(go()) == ["3", "5", "40", "6", "41", "4"]
    assert model.batches == [[3], [5, 6, 4], [40, 41]]


@given(st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=8), min_size=1, max_size=12))
def test_every_input_gets_its_own_label_within_the_budget(requests: list[list[int]]) -> None:
    model = Recording()

    async def go() -> list[list[Label]]:
        batcher = Batcher(model.label, Batching(tokens=50, wait_s=0))
        return await asyncio.gather(*(batcher.label([example(length) for length in some]) for some in requests))

    assert [[int(label.target) for label in labels] for labels in asyncio.run(go())] == requests
    assert all(len(batch) == 1 or len(batch) * max(batch) <= 50 for batch in model.batches)


def test_who_gives_up_leaves_no_work_behind() -> None:
    model = Recording()

    async def go() -> None:
        batcher = Batcher(model.label, Batching())
        model.go.clear()
        first = asyncio.create_task(batcher.label([example(1)]))
        while batcher.idle:
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.label([example(2)]), 0.01)
        model.go.set()
        await first
        await batcher.label([example(3)])

    asyncio.run(go())
    assert model.batches == [[1], [3]]


def test_an_error_reaches_those_of_its_batch_and_the_next_batch_goes_on() -> None:
    def label(examples: Sequence[Example]) -> list[Label]:
        if len(examples[0].tokens) == 13:
            raise RuntimeError("unlucky")
        return [Label("", "", "", Outcome.OK) for _ in examples]

    async def go() -> int:
        batcher = Batcher(label, Batching())
        with pytest.raises(RuntimeError, match="unlucky"):
            await batcher.label([example(13)])
        return len(await batcher.label([example(1)]))

    assert asyncio.run(go()) == 1


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The cat sleeps.", "The cat sleeps ."),
        ("It can't (really) be; can it?", "It ca n't -LRB- really -RRB- be ; can it ?"),
        ('"Good," he said.', "`` Good , '' he said ."),
        ("a {b} [c]", "a -LCB- b -RCB- [ c ]"),
        ("cannot 3.5% $4 e.g. U.S.", "can not 3.5 % $ 4 e.g. U.S ."),
    ],
)
def test_penn_treebank_tokens(text: str, tokens: str) -> None:
    assert " ".join(tokenise(text, "constituency").words) == tokens


@given(st.text(st.one_of(st.characters(exclude_categories=["Cs", "Cc"]), st.sampled_from("\"'`() .,")), max_size=40))
def test_tokens_cover_the_text_and_nothing_else(text: str) -> None:
    for task in ("constituency", "semantic"):
        tokens = tokenise(text, task)
        assert "".join(text[start:end] for start, end in tokens.spans) == "".join(text.split())
        assert all(word.split() == [word] for word in tokens.words)
