"""Whatever a model writes, every linearisation of every task reads it as a valid annotation of the input.

`pytest --hypothesis-profile thorough tests/test_any_text.py` tries 5,000 texts for each.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mckd_ray.records import Example
from mckd_ray.tasks import TASKS

TOKENS = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Z", "Cc")), min_size=1, max_size=6), min_size=1, max_size=12
)
SCRAPS = [
    "(",
    ")",
    "(",
    "S",
    "(NP",
    "the",
    "cat",
    "O",
    "B-x",
    "I-x",
    "l|L/NP|DT",
    "r|-|.",
    "```",
    "intent:",
    "x:",
    ";",
    "[2]",
    "||",
    "-LRB-",
    "\n",
]
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(SCRAPS)).map(" ".join))
ALL = [(task, name) for task in TASKS for name in TASKS[task].linearisations]


@pytest.mark.parametrize(("task", "name"), ALL)
def test_any_text_becomes_a_valid_annotation_that_can_be_written(task: str, name: str) -> None:
    linearisation = TASKS[task].linearisations[name]

    @given(TOKENS, TEXTS)
    def holds(tokens: list[str], text: str) -> None:
        example = Example("any", (), " ".join(tokens)) if task == "text" else Example("any", tuple(tokens))
        target = linearisation.repair(text, example)
        assert TASKS[task].check(target, example) == target
        assert linearisation.parse(linearisation.linearise(target, example), example) == target

    holds()
