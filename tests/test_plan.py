"""The method as a graph: which steps there are, which of them are shared, and what may see gold."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mckd_ray.config import ExperimentConfig
from mckd_ray.errors import ConfigError, MckdError
from mckd_ray.plan.experiment import plan
from mckd_ray.plan.identity import digest_of
from mckd_ray.plan.steps import Graph, Step

GENERAL = {"format": "builtin", "rows": 100}


def experiment(**sections: Any) -> ExperimentConfig:
    corpus = {"format": "builtin", "labelled": 50, "pool": 200, "general": GENERAL}
    teacher = {"engine": "student"}
    defaults = {"task": {"kind": "constituency"}, "corpus": corpus, "teacher": teacher, "name": "test"}
    return ExperimentConfig.model_validate({**defaults, **sections})


def graph(**sections: Any) -> Graph:
    return plan(experiment(**sections), "corpus content")


def named(found: Graph, start: str) -> list[Step]:
    return [step for step in found.steps if step.name.startswith(start)]


def ancestors(step: Step) -> Iterator[Step]:
    for need in step.inputs.values():
        yield need
        yield from ancestors(need)


def test_three_stages_with_two_partitions() -> None:
    """The paper's setting: two students at each of two intermediate stages, then one final student."""
    found = graph(plan={"stages": 3, "systems": ["mckd"]})
    trained = [step.name for step in found.steps if step.kind == "train"]
    assert trained == [
        "train the teacher seed 1",
        "train mckd stage 1 A seed 1",
        "train mckd stage 1 B seed 1",
        "train mckd stage 2 A seed 1",
        "train mckd stage 2 B seed 1",
        "train mckd-2 seed 1",
        "train mckd-3 seed 1",
    ]


def test_each_student_relabels_what_it_has_not_seen() -> None:
    found = graph(plan={"stages": 2, "systems": ["mckd"]})
    (student_a,) = named(found, "train mckd stage 1 A")
    (relabel_a,) = named(found, "relabel mckd stage 1 A")
    assert student_a.settings["data"] == [{"from": "labels", "partitions": [0], "of": 2}]
    assert relabel_a.settings["partitions"] == [1]
    assert relabel_a.inputs["student"] is student_a


def test_others_trains_on_all_but_one_and_relabels_that_one() -> None:
    found = graph(plan={"stages": 2, "partitions": 3, "train_on": "others", "systems": ["mckd"]})
    (student,) = named(found, "train mckd stage 1 A")
    (relabel,) = named(found, "relabel mckd stage 1 A")
    assert student.settings["data"][0]["partitions"] == [1, 2]
    assert relabel.settings["partitions"] == [0]


def test_one_stage_is_vanilla_distillation() -> None:
    found = graph(plan={"stages": 1, "systems": ["teacher", "kd", "mckd"]})
    assert {scored.system for scored in found.scored} == {"teacher", "kd"}


def test_more_stages_keep_every_step_of_fewer() -> None:
    two = {step.digest for step in graph(plan={"stages": 2}).steps}
    three = {step.digest for step in graph(plan={"stages": 3}).steps}
    assert two < three


def test_branches_share_the_students_of_the_first_stage() -> None:
    """Same-partition relabelling differs from the method only in what its students relabel."""
    both = graph(plan={"stages": 2, "systems": ["mckd", "self"]})
    first_stage = [step for step in both.steps if step.kind == "train" and "stage 1" in step.name]
    assert len(first_stage) == 2


def test_teacher_and_cross_labels_are_both_trained_on() -> None:
    found = graph(plan={"stages": 2, "mix": "teacher+cross", "gold_weight": 8, "systems": ["mckd"]})
    (final,) = named(found, "train mckd-2")
    assert [part["from"] for part in final.settings["data"]] == ["labels", "labels", "labelled"]
    assert final.inputs["labels-0"] is not final.inputs["labels-1"]


def test_only_evaluation_reads_gold() -> None:
    """No labels, no training and no relabelling stand on the gold of pool, dev or test."""
    found = graph(plan={"stages": 3, "systems": ["teacher", "sft", "kd", "mckd", "self", "born-again"]})
    for step in found.steps:
        if step.kind != "evaluate":
            assert all(need.kind not in ("gold", "evaluate") for need in ancestors(step)), step.name


def test_a_language_model_of_ours_sees_no_label_of_the_budget_but_in_its_prompts() -> None:
    student = {"kind": "causal", "linearisation": "interleaved"}
    found = graph(teacher={"engine": "vllm", "model": "scratch", "linearisation": "interleaved", "student": student})
    (train,), (label,) = named(found, "train the teacher"), named(found, "label by the teacher")
    assert train.settings["data"] == [{"from": "general"}, {"from": "pool"}]
    assert label.inputs["checkpoint"] is train
    assert label.settings["splits"] == ["pool", "test"]


def test_a_language_model_of_ours_is_trained_on_the_template_that_it_is_prompted_with(tmp_path: Path) -> None:
    student = {"kind": "causal", "linearisation": "interleaved"}
    teacher = {"engine": "vllm", "model": "scratch", "linearisation": "interleaved", "student": student}
    (tmp_path / "mine.txt").write_text("Tag.\n---\nIn: {input}\nOut: {output}")
    (own,) = named(graph(teacher=teacher), "train the teacher")
    (mine,) = named(graph(teacher={**teacher, "template": str(tmp_path / "mine.txt")}), "train the teacher")
    assert mine.settings["template"].startswith("sha256:")
    assert mine.options["template"] == str(tmp_path / "mine.txt")
    assert mine.settings == {**own.settings, "template": mine.settings["template"]}


def test_all_that_a_teacher_is_asked_is_one_step() -> None:
    both = graph(plan={"evaluate": ["dev", "test"]})
    assert [step.settings["splits"] for step in both.steps if step.kind == "label"] == [["pool", "dev", "test"]]
    alone = graph(plan={"systems": ["kd"]})
    assert [step.settings["splits"] for step in alone.steps if step.kind == "label"] == [["pool"]]


def test_a_simulated_teacher_is_the_one_exception() -> None:
    found = graph(teacher={"engine": "simulated"}, plan={"stages": 1, "systems": ["kd"]})
    assert [step.kind for step in found.steps if "gold" in step.inputs and step.kind != "evaluate"] == ["label"]


@pytest.mark.parametrize(
    "sections",
    [
        {"resources": {"student": {"workers": 4, "accumulate": 2}, "labelling": {"actors": 3, "chunk": 7}}},
        {"resources": {"teacher": {"replicas": 2, "gpus": 4, "price": {"input": 1}}}},
        {"tracking": {"to": ["mlflow"], "project": "parsers"}},
        {"store": {"root": "elsewhere"}},
        {"name": "another"},
    ],
)
def test_how_it_is_run_is_no_part_of_identity(sections: dict[str, Any]) -> None:
    assert [step.digest for step in graph(**sections).steps] == [step.digest for step in graph().steps]


def test_an_engine_is_part_of_identity_where_it_changes_labels() -> None:
    """CTranslate2 in full precision writes what torch writes; 8 bits and vLLM's grammars don't always."""

    def relabelled(kind: str, linearisation: str, **more: Any) -> list[str]:
        found = graph(student={"kind": kind, "linearisation": linearisation, **more})
        assert [step.digest for step in found.steps if step.kind == "train"][:1] == [first_trained(kind, linearisation)]
        return [step.digest for step in found.steps if step.kind == "relabel"]

    def first_trained(kind: str, linearisation: str) -> str:
        found = graph(student={"kind": kind, "linearisation": linearisation})
        return next(step.digest for step in found.steps if step.kind == "train")

    usual = relabelled("seq2seq", "words")
    assert usual == relabelled("seq2seq", "words", engine="torch")
    assert usual == relabelled("seq2seq", "words", engine="ctranslate2")
    assert not set(usual) & set(relabelled("seq2seq", "words", engine="ctranslate2", quantization="int8"))
    causal = relabelled("causal", "interleaved")
    assert causal == relabelled("causal", "interleaved", engine="torch")
    assert not set(causal) & set(relabelled("causal", "interleaved", engine="vllm"))


@pytest.mark.parametrize(
    "sections",
    [
        {"student": {"training": {"learning_rate": 5e-4}}},
        {"plan": {"seeds": [2]}},
        {"plan": {"gold_weight": 1}},
        {"student": {"scratch": {"width": 64}}},
    ],
)
def test_what_changes_the_result_changes_the_final_student(sections: dict[str, Any]) -> None:
    finals = [named(one, "train mckd-3")[0].digest for one in (graph(), graph(**sections))]
    assert finals[0] != finals[1]


def test_another_corpus_is_another_graph() -> None:
    one, other = (plan(experiment(), content) for content in ("a", "b"))
    assert not {step.digest for step in one.steps} & {step.digest for step in other.steps}


def test_needs_are_in_an_order_that_can_run() -> None:
    found = graph()
    (final,) = named(found, "train mckd-3")
    order = found.needs([final])
    seen: set[str] = set()
    for step in order:
        assert all(need.digest in seen for need in step.inputs.values())
        seen.add(step.digest)
    assert order[-1] is final


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"student": {"linearisation": "tag"}}, ["student.linearisation", "'tag'", "Did you mean 'tags'"]),
        ({"student": {"linearisation": "words"}}, ["tagger writes 'tags'"]),
        ({"teacher": {"shots": 51}}, ["teacher.shots is 51", "50"]),
        ({"student": {"scratch": {"width": 65}}}, ["student.scratch.width is 65"]),
        ({"student": {"engine": "vllm"}}, ["student.engine is 'vllm'", "student.kind=causal", "it is tagger"]),
        ({"student": {"quantization": "int8"}}, ["student.quantization=int8 needs student.engine=ctranslate2"]),
        ({"plan": {"seeds": [1, 1]}}, ["plan.seeds", "twice"]),
        ({"plan": {"systems": []}}, ["plan.systems is empty"]),
        ({"plan": {"systems": ["base"]}}, ["student.base is not set"]),
        ({"teacher": {"engine": "replay"}}, ["teacher.model is empty"]),
        ({"teacher": {"engine": "vllm", "model": "m", "linearisation": "tags"}}, ["no prompt template for 'tags'"]),
        ({"teacher": {"engine": "vllm", "model": "m", "template": "none.txt"}}, ["teacher.template 'none.txt'"]),
        (
            {"teacher": {"engine": "vllm", "model": "m", "samples": 3}},
            ["teacher.samples is 3", "raise the temperature"],
        ),
        ({"teacher": {"engine": "openai", "model": "m", "constrain": "grammar"}}, ["needs teacher.engine=vllm"]),
        ({"teacher": {"engine": "vllm", "model": "scratch"}}, ["teacher.student with kind causal"]),
        ({"resources": {"student": {"workers": 3}}}, ["student.training.batch_size is 32", "multiple of 3"]),
        ({"task": {"kind": "text"}}, ["linearisation"]),
    ],
)
def test_what_does_not_fit_is_one_sentence(sections: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        graph(**sections)
    assert all(word in str(error.value) for word in words)


def test_identity_refuses_what_has_no_canonical_form() -> None:
    for value in (object(), {1: "a"}, {"a": {1, 2}}):
        with pytest.raises(MckdError):
            digest_of(value)
    with pytest.raises(ValueError, match=r"NaN|JSON"):
        digest_of(float("nan"))


def test_identity_is_blind_to_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": (2, 3)}) == digest_of({"b": [2, 3], "a": 1})


def test_a_step_alone_has_its_identity_and_no_graph() -> None:
    """What is sent to the process that does it is as small at the end of a long chain as at its start."""
    sizes = []
    for stages in (2, 12):
        final = graph(plan={"stages": stages, "systems": ["mckd"]}).steps[-1]
        alone = pickle.loads(pickle.dumps(final.alone))
        assert (alone.key, alone.settings, alone.options) == (final.key, final.settings, final.options)
        assert {role: need.key for role, need in alone.inputs.items()} == {
            role: need.key for role, need in final.inputs.items()
        }
        sizes.append(len(pickle.dumps(final.alone)))
    assert max(sizes) < 1.1 * min(sizes)
