"""Prompts: what is shared comes first; each readable linearisation has a template, and users may give their own."""

from pathlib import Path

import pytest

from mckd_ray.errors import ConfigError
from mckd_ray.records import Example
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.prompt_form import read_template
from mckd_ray.tasks.prompts import Prompts

TREE = TASKS["constituency"]
SHOTS = [
    (Example("a", ("the", "cat", "sleeps")), "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"),
    (Example("b", ("dogs", "{input}")), "(S (NP (NNS dogs)) (VP (VB {input})))"),
]
QUERY = Example("q", ("a", "dog", "barks"))


def test_a_prompt_is_instruction_shots_query() -> None:
    prompt = Prompts(TREE, SHOTS).text(QUERY, [0, 1])
    assert "labels: NP, S, VP\ntags: DT, NN, NNS, VB, VBZ" in prompt
    assert (
        "Sentence: the cat sleeps\nTree: (S (NP (DT the ) (NN cat ) ) (VP (VBZ sleeps ) ) )\n\nSentence: dogs" in prompt
    )
    assert prompt.endswith("\n\nSentence: a dog barks\nTree:")


def test_what_all_prompts_share_comes_first() -> None:
    prompts = Prompts(TREE, SHOTS)
    one, two = prompts.text(QUERY, [0, 1]), prompts.text(Example("r", ("dogs",)), [0, 1])
    assert one.removesuffix("a dog barks\nTree:") == two.removesuffix("dogs\nTree:")
    assert one.startswith(prompts.text(QUERY, [0]).removesuffix("Sentence: a dog barks\nTree:"))
    assert one.startswith(prompts.text(QUERY, []).removesuffix("Sentence: a dog barks\nTree:"))


def test_only_the_shots_that_are_named_are_shown() -> None:
    """But the names are those of all labelled examples, whatever is shown: an answer may need any of them."""
    prompt = Prompts(TREE, SHOTS).text(QUERY, [0])
    assert "the cat sleeps" in prompt
    assert "{input}" not in prompt
    assert "NNS" in prompt


@pytest.mark.parametrize(("nearest_last", "shown"), [(False, [1, 0]), (True, [0, 1])])
def test_the_most_important_shot_comes_first_or_right_before_the_input(nearest_last: bool, shown: list[int]) -> None:
    prompts = Prompts(TREE, SHOTS, nearest_last=nearest_last)
    text = prompts.text(QUERY, [1, 0])
    places = [text.index(f"Sentence: {SHOTS[shot][0].source}\n") for shot in shown]
    assert places == sorted(places)
    questions = [message["content"] for message in prompts.messages(QUERY, [1, 0]) if message["role"] == "user"]
    assert [SHOTS[shot][0].source in question for shot, question in zip(shown, questions, strict=False)] == [True] * 2


def test_a_chat_has_a_turn_for_each_shot() -> None:
    messages = Prompts(TREE, SHOTS).messages(QUERY, [0, 1])
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert messages[0]["content"].startswith("Write the constituency tree")
    assert messages[1]["content"] == "(S (NP (DT the ) (NN cat ) ) (VP (VBZ sleeps ) ) )"
    assert messages[-1]["content"] == "Sentence: a dog barks\nTree:"
    (alone,) = Prompts(TREE, SHOTS).messages(QUERY, [])
    assert alone["content"].startswith("Write the constituency tree")
    assert alone["content"].endswith("\n\nSentence: a dog barks\nTree:")


@pytest.mark.parametrize(
    ("task", "linearisation"),
    [
        ("constituency", "words"),
        ("constituency", "labelled-words"),
        ("constituency", "interleaved"),
        ("semantic", "frame"),
        ("semantic", "interleaved"),
        ("semantic", "tags"),
        ("text", "plain"),
    ],
)
def test_every_readable_linearisation_has_a_template(task: str, linearisation: str) -> None:
    text = Prompts(TASKS[task], [], linearisation).text(QUERY, [])
    assert "a dog barks" in text
    assert "{" not in text


def test_a_template_can_be_replaced(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("Parse with {names}.\n---\nIn: {input}\nOut: {output} !\n", encoding="utf-8")
    prompts = Prompts(TREE, SHOTS, template=read_template(str(file)))
    head = "Parse with labels: NP, S, VP\ntags: DT, NN, NNS, VB, VBZ."
    shot = "In: the cat sleeps\nOut: (S (NP (DT the ) (NN cat ) ) (VP (VBZ sleeps ) ) ) !"
    assert prompts.text(QUERY, [0]) == f"{head}\n\n{shot}\n\nIn: a dog barks\nOut:"


def test_a_template_makes_a_prompt_for_a_linearisation_that_has_none() -> None:
    template = "Tag.\n---\nSentence: {input}\nTags: {output}"
    assert Prompts(TREE, [], "tags", template).text(QUERY, []) == "Tag.\n\nSentence: a dog barks\nTags:"


def test_no_template_file_is_the_task_s_own() -> None:
    assert read_template("") == ""
    assert Prompts(TREE, SHOTS, template="").text(QUERY, []) == Prompts(TREE, SHOTS).text(QUERY, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Parse.",
        "Parse.\n---\n",
        "Parse.\n---\nIn: {input}\n",
        "Parse.\n---\nOut: {output}\n",
        "Parse.\n---\nOut: {output}\nIn: {input}\n",
        "Parse.\n---\nIn: {input}\nOut: {output} {output}\n",
        "Parse. {input} {output}\n",
    ],
)
def test_a_template_without_its_parts_is_one_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.txt: a template is an instruction, a line ---.*\{output\}\.$"):
        read_template(str(file))


def test_a_template_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"teacher\.template '.*none\.txt' cannot be read"):
        read_template(str(tmp_path / "none.txt"))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_template(str(tmp_path))
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe---")
    with pytest.raises(ConfigError, match=r"bytes\.txt' cannot be read as text"):
        read_template(str(tmp_path / "bytes.txt"))


def test_an_answer_ends_with_its_line_unless_the_shots_have_more() -> None:
    assert Prompts(TREE, SHOTS).answer(" (X a )\n\nSentence: b") == "(X a )"
    poems = Prompts(TASKS["text"], [(Example("p", text="roses"), "red\nblue")])
    assert poems.answer("a\nb\n\nInput: c") == "a\nb"


def test_no_template_for_tags_of_trees() -> None:
    with pytest.raises(ConfigError, match=r"no prompt template for 'tags'.*labelled-words, words"):
        Prompts(TREE, [], "tags")
