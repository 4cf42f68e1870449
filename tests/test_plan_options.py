"""The method's options in the graph: mixes, selection, several students, consensus, the choice of stages."""

from typing import Any

import pytest

from mckd_ray.errors import ConfigError
from tests.test_plan import ancestors, graph, named


def test_cross_and_self_labels_are_both_trained_on() -> None:
    """Each student relabels its own partition too; the next ones see both tables, and the chain goes on."""
    found = graph(plan={"stages": 3, "mix": "cross+self", "systems": ["mckd"]})
    (final,) = named(found, "train mckd-2")
    cross, own = final.inputs["labels-0"], final.inputs["labels-1"]
    students = [
        [step.inputs["student"].name for step in table.inputs.values() if step.kind == "relabel"]
        for table in (cross, own)
    ]
    assert students[0] == students[1]
    partitions = [
        [step.settings["partitions"] for step in table.inputs.values() if step.kind == "relabel"]
        for table in (cross, own)
    ]
    assert partitions == [[[1], [0]], [[0], [1]]]
    (second,) = named(found, "train mckd stage 2 A")
    assert [part["partitions"] for part in second.settings["data"]] == [[0], [0]]


def test_several_students_of_a_group_differ_in_their_seed() -> None:
    found = graph(plan={"stages": 2, "students": 2, "systems": ["mckd"]})
    students = named(found, "train mckd stage 1 A")
    assert [step.settings["seed"] for step in students] == [1, 1001]
    (merged,) = [step for step in found.steps if step.kind == "merge"]
    assert len(merged.inputs) == 1 + 4


def test_consensus_by_parts_is_another_merge_and_nothing_else() -> None:
    best, parts = (graph(plan={"stages": 2, "consensus": how, "systems": ["mckd"]}) for how in ("best", "parts"))
    changed = {step.kind for step in parts.steps} - {"corpus", "gold", "label"}
    differing = {step.kind for step in parts.steps if step.digest not in {other.digest for other in best.steps}}
    assert differing == {"merge", "train", "relabel", "evaluate"} == changed
    assert len([step for step in parts.steps if step.kind == "train"]) == len(
        [step for step in best.steps if step.kind == "train"]
    )


def test_selection_by_agreement_begins_after_the_first_stage() -> None:
    """Before it there is nothing but the teacher's labels; then each table is judged by the other one."""
    selection = {"by": "agreement", "keep": 0.7}
    found = graph(plan={"stages": 2, "mix": "teacher+cross", "selection": selection, "systems": ["kd", "mckd"]})
    (first,), (final,) = named(found, "train mckd stage 1 A"), named(found, "train mckd-2")
    assert "by" not in first.settings["data"][0]
    assert [part["keep"] for part in final.settings["data"]] == [0.7, 0.7]
    assert final.inputs["other-0"] is final.inputs["labels-1"]
    assert final.inputs["other-1"] is final.inputs["labels-0"]


def test_selection_by_confidence_holds_for_all_labels() -> None:
    found = graph(plan={"stages": 2, "selection": {"by": "confidence", "weigh": True}, "systems": ["kd", "mckd"]})
    students = [step for step in found.steps if step.kind == "train" and "teacher" not in step.name]
    assert len(students) == 4
    assert all(part["by"] == "confidence" for step in students for part in step.settings["data"])


def test_the_budget_chooses_the_stages_by_students_that_have_not_seen_it() -> None:
    systems = ["teacher", "sft", "kd", "mckd"]
    plain, chosen = (graph(plan={"stopping": how, "systems": systems}) for how in ("none", "budget"))
    assert {step.digest for step in plain.steps} < {step.digest for step in chosen.steps}
    scored = [score for score in chosen.scored if score.split == "labelled"]
    assert [score.system for score in scored] == ["kd", "mckd-2", "mckd-3"]
    for score in scored:
        assert all(need.kind != "gold" for need in ancestors(score.step))
        students = [need for need in ancestors(score.step) if need.kind == "train" and "teacher" not in need.name]
        assert all(part["from"] == "labels" for need in students for part in need.settings["data"])


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"stopping": "budget", "gold_weight": 2}, ["plan.stopping=budget", "plan.gold_weight=0"]),
        ({"selection": {"by": "confidence"}}, ["plan.selection.by is 'confidence'", "keep below 1"]),
        ({"selection": {"keep": 0.5}}, ["plan.selection.by is 'none'", "keep 0.5"]),
    ],
)
def test_what_does_not_fit_is_one_sentence(plan: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        graph(plan=plan)
    assert all(word in str(error.value) for word in words)
