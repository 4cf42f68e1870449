"""Prompts: what is shared comes first, and any task's readable linearisation has a template."""

import pytest

from mckd_ray.errors import ConfigError
from mckd_ray.records import Example
from mckd_ray.tasks import TASKS
from mckd_ray.teacher.prompts import Prompts

SHOTS = [
    (Example("a", ("the", "cat", "sleeps")), "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"),
    (Example("b", ("dogs", "{input}")), "(S (NP (NNS dogs)) (VP (VB {input})))"),
]
QUERY = Example("q", ("a", "dog", "barks"))


def test_a_prompt_is_instruction_shots_query() -> None:
    prompt = Prompts(TASKS["constituency"], SHOTS).text(QUERY, 2)
    assert "labels: NP, S, VP\ntags: DT, NN, NNS, VB, VBZ" in prompt
    assert (
        "Sentence: the cat sleeps\nTree: (S (NP (DT the ) (NN cat ) ) (VP (VBZ sleeps ) ) )\n\nSentence: dogs" in prompt
    )
    assert prompt.endswith("\n\nSentence: a dog barks\nTree:")


def test_what_all_prompts_share_comes_first() -> None:
    prompts = Prompts(TASKS["constituency"], SHOTS)
    one, two = prompts.text(QUERY, 2), prompts.text(Example("r", ("dogs",)), 2)
    assert one.removesuffix("a dog barks\nTree:") == two.removesuffix("dogs\nTree:")
    assert one.startswith(prompts.text(QUERY, 0).removesuffix("Sentence: a dog barks\nTree:"))
    assert "the cat sleeps" in prompts.text(QUERY, 1)
    assert "{input}" not in prompts.text(QUERY, 1)


def test_a_chat_has_a_turn_for_each_shot() -> None:
    messages = Prompts(TASKS["constituency"], SHOTS).messages(QUERY, 2)
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert messages[0]["content"].startswith("Write the constituency tree")
    assert messages[1]["content"] == "(S (NP (DT the ) (NN cat ) ) (VP (VBZ sleeps ) ) )"
    assert messages[-1]["content"] == "Sentence: a dog barks\nTree:"
    alone = Prompts(TASKS["constituency"], SHOTS).messages(QUERY, 0)
    assert len(alone) == 1
    assert alone[0]["content"].startswith("Write the constituency tree")


@pytest.mark.parametrize(
    ("task", "linearisation"),
    [
        ("constituency", "words"),
        ("constituency", "labelled-words"),
        ("semantic", "frame"),
        ("semantic", "interleaved"),
        ("semantic", "tags"),
        ("text", "plain"),
    ],
)
def test_every_readable_linearisation_has_a_template(task: str, linearisation: str) -> None:
    text = Prompts(TASKS[task], [], linearisation).text(QUERY, 0)
    assert "a dog barks" in text
    assert "{" not in text


def test_the_instruction_can_be_replaced() -> None:
    text = Prompts(TASKS["constituency"], SHOTS, instruction="Parse with {names}.").text(QUERY, 0)
    assert text == "Parse with labels: NP, S, VP\ntags: DT, NN, NNS, VB, VBZ.\n\nSentence: a dog barks\nTree:"


def test_an_answer_ends_with_its_line_unless_the_shots_have_more() -> None:
    assert Prompts(TASKS["constituency"], SHOTS).answer(" (X a )\n\nSentence: b") == "(X a )"
    poems = Prompts(TASKS["text"], [(Example("p", text="roses"), "red\nblue")])
    assert poems.answer("a\nb\n\nInput: c") == "a\nb"


def test_no_template_for_tags_of_trees() -> None:
    with pytest.raises(ConfigError, match=r"no prompt template for 'tags'.*labelled-words, words"):
        Prompts(TASKS["constituency"], [], "tags")
