"""The report's sentences: the answer, and what a reader must know before believing it."""

from dataclasses import dataclass

from mckd_ray.report.analysis.spending import teacher_cost
from mckd_ray.report.analysis.study import Study
from mckd_ray.report.analysis.systems import Gain
from mckd_ray.report.wording import duration, metric_name, p_value


@dataclass(frozen=True)
class Answer:
    """The answer first: which system is best, over whom by how much, and what it costs."""

    headline: str
    leads: tuple[str, ...]
    cost: str


def answer(study: Study) -> Answer | None:
    """The answer, or None if no system has a score yet."""
    best = study.best
    if best is None:
        return None
    who = f"{best.name} is best" if len(study.systems) > 1 else best.name
    headline = f"{who}: {best.mean(study.metric):.1f}% {metric_name(study.metric)} on {study.split}"
    leads = [_lead(one) for one in study.leads]
    distilled = study.distilled
    if distilled is not None and distilled is not best:
        over = [_over(study.gains[distilled.name, other]) for other in ("kd", "teacher") if other in study.systems]
        leads.append(f"{distilled.name}, the best of the method's own stages, is {', '.join(over)}.")
    facts = teacher_cost(study.run)
    money = facts["all_rows"]["money"] if facts else None
    paid = "" if money is None else f", and {money:.2f} for the teacher's answers"
    cost = f"{best.name} alone takes {duration(best.seconds)}, one step after the other, from nothing{paid}."
    return Answer(headline, tuple(leads), cost)


def _lead(one: Gain) -> str:
    return f"{one.ours} is {_over(one)}."


def _over(one: Gain) -> str:
    test = one.test
    interval = f"95% interval {test.low:+.1f} to {test.high:+.1f}"
    return f"{test.difference:+.1f} over {one.theirs} ({interval}, {p_value(test.p_value)})"


def notes(study: Study) -> list[str]:
    """What is missing, left out, sampled or to be taken with care."""
    found = [*_unfinished(study), *_systems(study), *_tests(study), *_gold(study)]
    if study.run.config["teacher"]["engine"] == "simulated":
        found.append("The teacher is simulated: gold with noise. Its figures say nothing about a real teacher.")
    return found


def _unfinished(study: Study) -> list[str]:
    run = study.run
    if not run.missing:
        return []
    scored = {one.system for one in run.scored if one.split == study.split}
    without = sorted(scored - set(study.systems))
    lacking = f" Without a score so far: {', '.join(without)}." if without else ""
    found = [f"The run is not finished: {len(run.missing)} of {len(run.steps)} steps have not happened.{lacking}"]
    return found + [f"{one['name']} failed: {one['message']}" for one in (run.result or {}).get("failed", ())]


def _systems(study: Study) -> list[str]:
    systems = study.systems.values()
    found = []
    if len(study.systems) == 1:
        found.append("There is one system only, so there is nothing to compare it with.")
    useless = [system.name for system in systems if system.coverage == 0]
    if useless:
        found.append(f"No answer of {', '.join(useless)} was usable, so each input counts 0.")
    poor = [f"{system.name} ({system.coverage:.1%})" for system in systems if 0 < system.coverage < 0.99]
    if poor:
        found.append(f"Inputs without a usable answer count 0; coverage is below 99% for {', '.join(poor)}.")
    if study.systems and max(len(system.seeds) for system in systems) == 1:
        found.append("Each student was trained with one seed: the tests speak of these models, not of other seeds.")
    return found


def _tests(study: Study) -> list[str]:
    if not study.leads:
        return []
    first = study.leads[0]
    sampled = f" on a sample of {first.count:,} of {first.total:,} inputs" if first.count < first.total else ""
    return [
        f"Tests are paired over the same inputs{sampled}, on {metric_name(study.run.task.per_example)} of one input: "
        "permutation for p, bootstrap for intervals. The best system was chosen on these very inputs, which flatters "
        "its lead over the next."
    ]


def _gold(study: Study) -> list[str]:
    judged = any(study.run.by_key[key].key in study.run.records for key in study.run.quality.values())
    if judged and not study.pool.tables:
        return ["The pool has no gold; what needs it is left out: quality of its labels, fit to pseudolabels."]
    return []
