"""The causal student: it learns, is deterministic, resumes, labels and reads prompts; and its way to write trees."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from mckd_ray import student
from mckd_ray.config import ScratchConfig, StudentConfig, TrainingConfig
from mckd_ray.errors import DataError, LinearisationError, ModelError
from mckd_ray.records import Example, Label, Outcome, TrainingRow
from mckd_ray.student.base import TrainingJob
from mckd_ray.student.causal import Causal
from mckd_ray.student.causal_text import pack, scratch_tokenizer
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.prompt_form import PromptForm
from mckd_ray.tasks.prompts import Prompts
from mckd_ray.tasks.tree_sequences import InterleavedTags
from mckd_ray.tasks.trees import Tree
from tests.random_llama import save_random_llama
from tests.random_trees import example_of, trees
from tests.students import (
    FRAMES,
    TREES,
    examples_of,
    largest_difference,
    make_job,
    of_student,
    rows_of,
    same,
    train,
    train_broken_off,
    trained,
)

ALL = [
    ("constituency", "interleaved", TREES),
    ("constituency", "words", TREES),
    ("constituency", "labelled-words", TREES),
    *(("semantic", name, FRAMES) for name in TASKS["semantic"].linearisations),
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def job_of(folder: Path, task: str, linearisation: str, rows: list[TrainingRow], **changes: Any) -> TrainingJob:
    config = StudentConfig(
        kind="causal",
        linearisation=linearisation,
        scratch=ScratchConfig(width=64, layers=1, heads=2, vocabulary=400),
        max_source=160,
        max_target=96,
    )
    training = TrainingConfig(steps=1, batch_size=2, learning_rate=3e-3)
    return make_job(folder, task, config, rows, **{"training": training, **changes})


@pytest.mark.parametrize("constrain", [True, False])
def test_learns_a_few_trees_by_heart(tmp_path: Path, constrain: bool) -> None:
    training = TrainingConfig(steps=100 if constrain else 250, batch_size=4, learning_rate=5e-3)
    job = job_of(tmp_path, "constituency", "interleaved", rows_of(TREES), training=training)
    job = of_student(job, constrain=constrain, scratch=ScratchConfig(width=64, layers=2, heads=2, vocabulary=400))
    labels = trained(job, tmp_path / "model").label(examples_of(TREES))
    assert [label.target for label in labels] == [target for _, target in TREES]
    assert all(label.outcome is Outcome.OK and label.confidence < 0 for label in labels)


@pytest.mark.parametrize(("task", "linearisation", "pairs"), ALL)
def test_constrained_labels_are_valid_from_a_student_that_knows_nothing(
    tmp_path: Path, task: str, linearisation: str, pairs: list[tuple[str, str]]
) -> None:
    job = job_of(tmp_path, task, linearisation, rows_of(pairs))
    examples = [*examples_of(pairs), Example("new", ("ünseen", "wörds", ";", "(x)"))]
    labels = trained(of_student(job, max_source=320), tmp_path / "model").label(examples)
    assert [label.id for label in labels] == [example.id for example in examples]
    for label, example in zip(labels, examples, strict=True):
        assert label.outcome is Outcome.OK, label
        assert TASKS[task].check(label.target, example) == label.target


def test_unconstrained_labels_are_repaired_or_say_why(tmp_path: Path) -> None:
    job = of_student(job_of(tmp_path, "constituency", "interleaved", rows_of(TREES)), constrain=False)
    labels = trained(job, tmp_path / "model").label(examples_of(TREES))
    assert len(labels) == len(TREES)
    for label in labels:
        assert label.outcome.usable == bool(label.target)
        assert label.outcome is Outcome.OK or label.reason


def test_text_and_raw_text_are_trained_on(tmp_path: Path) -> None:
    rows = [TrainingRow("a", (), "one two", "two one"), TrainingRow("raw", (), "three four five", "")]
    job = job_of(tmp_path, "text", "plain", rows)
    trainer = Causal().trainer(job)
    (segments,) = [trainer.train_dataset[index] for index in range(1)]  # type: ignore[index]
    texts = {trainer.processing_class.decode(segment.ids) for segment in segments}  # type: ignore[union-attr]
    assert texts == {"\n\nInput: one two\nOutput: two one", "\n\nInput: three four five"}
    (label,) = trained(job, tmp_path / "model").label([Example("q", (), "two one")])
    assert "\n" not in label.target


def test_it_reads_prompts_as_the_teacher_writes_them(tmp_path: Path) -> None:
    """The pieces of a sequence that it trains on are those of the same prompt as text."""
    trainer = Causal().trainer(job_of(tmp_path, "constituency", "interleaved", rows_of(TREES)))
    tokenizer: Any = trainer.processing_class
    batch = trainer.data_collator([trainer.train_dataset[0]])  # type: ignore[index]
    (ids,) = batch["input_ids"].tolist()
    shots = [(row.example, row.target) for row in rows_of(TREES)]
    prompt = tokenizer.decode(ids[: ids.index(tokenizer.convert_tokens_to_ids("\n\nSentence:"), 5)])
    prompts = Prompts(TASKS["constituency"], shots, "interleaved")
    shown = [prompts.text(Example("q", ("yes",)), (index,)) for index in range(3)]
    assert any(text.startswith(prompt) for text in shown)
    for text in shown:
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer("\nTagged: the l|L/NP|DT").input_ids[-1] == tokenizer.convert_tokens_to_ids(" l|L/NP|DT")
    assert tokenizer(tokenizer.decode(ids)).input_ids == ids


def test_no_piece_of_a_long_instruction_is_too_long_for_the_backend_of_grammars() -> None:
    """As that of the semantic task, which names all intents and tags of the corpus."""
    form = PromptForm(
        "Write tags: " + ", ".join(f"B-slot_{number}" for number in range(200)), "\n\nText:", "\nTags:", "", " "
    )
    tokenizer = scratch_tokenizer(["play some jazz"], 300, form, ["B-slot_1"])
    pieces = tokenizer(form.instruction).tokens()
    assert max(len(piece.encode()) for piece in tokenizer.get_vocab()) <= 1024
    assert len(pieces) < len(form.instruction) / 100
    assert tokenizer.decode(tokenizer(form.instruction).input_ids) == form.instruction


def test_it_reads_prompts_of_another_template_where_it_is_trained_on_that(tmp_path: Path) -> None:
    template = "Tag.\n---\nIn: {input}\nOut: {output}"
    job = job_of(tmp_path, "constituency", "interleaved", rows_of(TREES), template=template)
    trainer = Causal().trainer(job)
    batch = trainer.data_collator([trainer.train_dataset[0]])  # type: ignore[index]
    tokenizer: Any = trainer.processing_class
    text = tokenizer.decode(batch["input_ids"][0])
    examples = examples_of(TREES)
    prompts = [Prompts(TASKS["constituency"], [], "interleaved", template).text(example, ()) for example in examples]
    assert any(text.startswith(prompt) for prompt in prompts)
    trained(job, tmp_path / "model")
    assert json.loads((tmp_path / "model" / "student.json").read_text())["form"]["ask"] == "\n\nIn: "


def test_same_job_gives_the_same_bits(tmp_path: Path) -> None:
    job = job_of(tmp_path, "constituency", "interleaved", rows_of(TREES))
    train(job, tmp_path / "one")
    torch.rand(7)
    train(job, tmp_path / "two")
    train(replace(job, seed=2), tmp_path / "three")
    for name in ("model.safetensors", "tokenizer.json", "student.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert not same(tmp_path / "one", tmp_path / "three")


def test_a_resumed_run_gives_the_same_bits(tmp_path: Path) -> None:
    training = TrainingConfig(steps=4, batch_size=2, learning_rate=3e-3, dropout=0.1)
    job = job_of(tmp_path, "constituency", "interleaved", rows_of(TREES * 9), training=training)
    whole = train(job, tmp_path / "whole")
    resumed = train_broken_off(replace(job, work=tmp_path / "again"), tmp_path / "resumed", stop=2)
    assert same(whole, resumed)


def test_accumulated_parts_give_the_same_steps(tmp_path: Path) -> None:
    training = TrainingConfig(steps=2, batch_size=4, learning_rate=1e-3)
    job = job_of(tmp_path, "constituency", "interleaved", rows_of(TREES * 9), training=training)
    whole, parts = train(job, tmp_path / "whole"), train(replace(job, accumulate=4), tmp_path / "parts")
    # AdamW's first steps are the signs of the gradients: compare to the size of a step.
    assert largest_difference(whole, parts) < 1e-5


def test_a_weight_scales_what_its_row_adds(tmp_path: Path) -> None:
    trainer = Causal().trainer(job_of(tmp_path, "constituency", "interleaved", rows_of(TREES)))
    model, collate = cast("Any", trainer.model), cast("Any", trainer.data_collator)
    model.eval()
    (segment, *_) = trainer.train_dataset[0]  # type: ignore[index]

    def loss(weight: float) -> Any:
        return trainer.compute_loss(
            model,
            collate([[replace(segment, counts=[weight * count for count in segment.counts])]]),
            num_items_in_batch=10,
        )

    assert loss(1.0) > 0
    torch.testing.assert_close(loss(3.0), 3 * loss(1.0))


def test_rows_are_packed_whole_and_evenly() -> None:
    rng = random.Random(1)
    lengths = [rng.randint(5, 60) for _ in range(300)]
    packs = pack(lengths, 100, 400, 1)
    assert len(packs) == 400
    assert all(sum(lengths[row] for row in rows) <= 100 for rows in packs)
    assert sum(lengths[row] for rows in packs for row in rows) > 0.9 * 400 * 100
    seen = [sum(row in rows for rows in packs) for row in range(300)]
    assert max(seen) - min(seen) <= 3
    assert packs == pack(lengths, 100, 400, 1) != pack(lengths, 100, 400, 2)


def test_too_long_is_a_failed_row(tmp_path: Path) -> None:
    job = job_of(tmp_path, "constituency", "interleaved", rows_of(TREES))
    labeller = trained(of_student(job, max_source=40, max_target=60), tmp_path / "model")
    source, target, fine = labeller.label(
        [Example("a", ("the",) * 200), Example("b", ("cat",) * 32), Example("c", ("cat",))]
    )
    assert (source.outcome, target.outcome, fine.outcome) == (Outcome.FAILED, Outcome.FAILED, Outcome.OK)
    assert "max_source=40" in source.reason
    assert "max_target=60" in target.reason


def test_starts_from_a_pretrained_llama_and_from_a_student_of_ours(tmp_path: Path) -> None:
    """Of a pretrained model, only the answers are trained on."""
    job = job_of(tmp_path, "constituency", "words", rows_of(TREES))
    job = of_student(job, model=str(save_random_llama(tmp_path / "llama")), max_source=320, max_target=80)
    trainer = Causal().trainer(job)
    batch = trainer.data_collator([trainer.train_dataset[0]])  # type: ignore[index]
    learned = trainer.processing_class.decode(batch["labels"][batch["labels"] >= 0])  # type: ignore[union-attr]
    assert "Sentence" not in learned
    assert "cat" in learned
    assert [label.outcome for label in trained(job, tmp_path / "one").label(examples_of(TREES))] == [Outcome.OK] * 3
    again = trained(replace(job, init=tmp_path / "one"), tmp_path / "two")
    assert [label.outcome for label in again.label(examples_of(TREES))] == [Outcome.OK] * 3


def test_a_base_student_is_extended_by_new_symbols(tmp_path: Path) -> None:
    raw = job_of(tmp_path / "raw", "constituency", "interleaved", rows_of([(text, "") for text, _ in TREES]))
    train(replace(raw, objective="masked"), tmp_path / "base")
    job = job_of(tmp_path / "gold", "constituency", "interleaved", rows_of(TREES), init=tmp_path / "base")
    (label,) = trained(job, tmp_path / "model").label([Example("x", ("yes", "no"))])
    assert label.outcome is Outcome.OK
    assert " l|L/NP|DT" in transformers.AutoTokenizer.from_pretrained(tmp_path / "model").get_vocab()


def test_labels_do_not_hang_on_the_batch(tmp_path: Path) -> None:
    labeller = trained(job_of(tmp_path, "constituency", "interleaved", rows_of(TREES)), tmp_path / "model")
    examples = examples_of(TREES)

    def targets(labels: list[Label]) -> dict[str, str]:
        return {label.id: label.target for label in labels}

    alone = targets([labeller.label([example])[0] for example in examples])
    assert targets(labeller.label(examples)) == targets(labeller.label(examples[::-1])) == alone
    assert labeller.label([]) == []


def test_what_is_not_a_model_is_a_model_error(tmp_path: Path) -> None:
    job = job_of(tmp_path, "constituency", "interleaved", rows_of(TREES))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="empty' can't be loaded as a causal student"):
        Causal().trainer(of_student(job, model=str(tmp_path / "empty")))
    with pytest.raises(ModelError, match="is not a student that was trained here"):
        Causal().trainer(replace(job, init=tmp_path / "empty"))
    with pytest.raises(ModelError, match="is not a student that was trained here"):
        student.load(tmp_path / "empty")


def test_an_encoder_decoder_is_a_model_error(tmp_path: Path) -> None:
    config = transformers.T5Config(vocab_size=50, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
    trainer = Causal().trainer(job_of(tmp_path, "constituency", "interleaved", rows_of(TREES)))
    trainer.processing_class.save_pretrained(tmp_path / "t5")  # type: ignore[union-attr]
    job = job_of(tmp_path, "constituency", "interleaved", rows_of(TREES))
    with pytest.raises(ModelError, match="t5' can't be loaded as a causal student"):
        Causal().trainer(of_student(job, model=str(tmp_path / "t5")))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    train(job_of(tmp_path, "constituency", "interleaved", rows_of(TREES)), tmp_path / "model")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    torch.save(model.state_dict(), tmp_path / "model" / "pytorch_model.bin")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors"):
        student.load(tmp_path / "model")


def test_another_kind_of_student_is_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "student.json").write_text(json.dumps({"kind": "tagger"}), encoding="utf-8")
    with pytest.raises(ModelError, match="of the kind 'tagger', and causal is wanted"):
        Causal().load(tmp_path)


def test_rows_that_are_all_too_long_are_a_data_error(tmp_path: Path) -> None:
    rows = [TrainingRow("a", (), "word " * 300, "word")]
    with pytest.raises(DataError, match="none of its 1 rows can be trained on"):
        Causal().trainer(job_of(tmp_path, "text", "plain", rows))


INTERLEAVED = InterleavedTags()
CAT = Example("cat", ("the", "cat", "sleeps", "."))
CAT_TREE = "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)) (. .))"
CAT_TEXT = "the cat l|L/NP|DT sleeps r|L/S|NN . l/VP|R|VBZ r|-|."


def test_each_tag_stands_one_word_late() -> None:
    assert INTERLEAVED.linearise(CAT_TREE, CAT) == CAT_TEXT
    assert INTERLEAVED.parse(CAT_TEXT, CAT) == CAT_TREE
    with pytest.raises(LinearisationError, match="are not the tokens"):
        INTERLEAVED.parse(CAT_TEXT.replace("cat", "dog"), CAT)
    with pytest.raises(LinearisationError, match="3 tags for 4 tokens"):
        INTERLEAVED.parse(CAT_TEXT.removesuffix(" r|-|."), CAT)


@settings(max_examples=200, deadline=None)
@given(trees())
def test_any_tree_comes_back(tree: Tree) -> None:
    example = example_of(tree)
    text = INTERLEAVED.linearise(str(tree), example)
    assert INTERLEAVED.parse(text, example) == INTERLEAVED.repair(text, example) == str(tree)


@pytest.mark.parametrize(
    "text",
    [
        CAT_TEXT.replace("cat", "dog"),
        CAT_TEXT.replace("the", "The"),
        f"```\n{CAT_TEXT}\n```",
        "l|L/NP|DT r|L/S|NN l/VP|R|VBZ r|-|.",
        CAT_TEXT + " and so on",
    ],
)
def test_other_words_do_not_shift_the_tags(text: str) -> None:
    assert INTERLEAVED.repair(text, CAT) == CAT_TREE


@settings(max_examples=300, deadline=None)
@given(
    trees(),
    st.one_of(
        st.text(), st.lists(st.sampled_from(["the", "cat", "l|L/NP|DT", "r|-|.", "||", "```", "\n"])).map(" ".join)
    ),
)
def test_repair_of_any_text_is_a_tree_over_the_tokens(tree: Tree, text: str) -> None:
    example = example_of(tree)
    repaired = INTERLEAVED.repair(text, example)
    assert TASKS["constituency"].check(repaired, example) == repaired


@settings(max_examples=100, deadline=None)
@given(trees(), st.randoms(use_true_random=False))
def test_linearisations_are_legal_and_all_that_is_legal_is_one(tree: Tree, dice: random.Random) -> None:
    example = example_of(tree)
    text = INTERLEAVED.linearise(str(tree), example)
    legal = INTERLEAVED.legal(example, INTERLEAVED.inventory([(str(tree), example)]))
    for symbols in (text.split(" "), None):
        state = legal.start
        written: list[str] = []
        while allowed := legal.allowed(state):
            assert not legal.complete(state)
            written.append(symbols[len(written)] if symbols else dice.choice(allowed))
            assert written[-1] in allowed
            state = legal.advance(state, written[-1])
        assert legal.complete(state)
        INTERLEAVED.parse(" ".join(written), example)
