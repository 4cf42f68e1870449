"""The table that ends a run, from a result as `mckd run` leaves it."""

from typing import Any

from rich.console import Console

from mckd_ray.report.table import result_table


def system(score: float, **gains: float) -> dict[str, Any]:
    over = {name: {"difference": gain, "low": gain, "high": gain, "p_value": 0.0004} for name, gain in gains.items()}
    values = {"mean": score, "spread": 0.5, "values": [score - 0.5, score + 0.5]}
    return {"slot_f1": values, "coverage": 0.991, "seconds": 83.0, "gain_over": over}


def printed(**changes: Any) -> str:
    result = {
        "name": "demo",
        "primary": "slot_f1",
        "teacher": "student",
        "labelling": {},
        "systems": {"teacher": system(70.0), "kd": system(73.2, teacher=3.2), "mckd-2": system(75, teacher=5, kd=1.8)},
        "quality": {"teacher labels": {"slot_f1": 69.9, "coverage": 1.0, "count": 10}},
        "corpus": {"problems": 0, "first_problems": []},
        "steps": [{"state": "done", "reused": False, "started": 100.0, "seconds": 75.0}],
        "stopping": {},
        "failed": [],
        **changes,
    }
    console = Console(width=120)
    with console.capture() as capture:
        console.print(result_table(result))
    return capture.get()


def test_a_line_a_system_with_spread_coverage_gains_and_time() -> None:
    line = next(line for line in printed().splitlines() if "mckd-2" in line)
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == ["mckd-2", "75.0 ± 0.5", "99.1%", "+5.0 (p < 0.001)", "+1.8 (p < 0.001)", "1 min 23 s"]


def test_a_simulated_teacher_is_named_so() -> None:
    assert "teacher (simulated)" in printed(teacher="simulated")
    assert "say nothing about a real teacher" in printed(teacher="simulated")


def test_bad_rows_are_counted_and_named() -> None:
    problems = [f"train.jsonl:{line}: unbalanced tree" for line in (7, 20, 99)]
    text = printed(corpus={"problems": 3, "first_problems": problems})
    assert "3 problems of the corpus" in text
    assert all(problem in text for problem in problems)


def test_failures_are_named() -> None:
    assert "train kd failed: no room" in printed(failed=[{"name": "train kd", "message": "no room", "exit_status": 1}])


def test_the_number_of_stages_that_the_budget_chooses_is_named() -> None:
    chosen = {"mckd": {"stages": 2, "scores": {"kd": 70.04, "mckd-2": 72.5}}}
    assert "The labelled budget chooses 2 stages for mckd: kd 70.0, mckd-2 72.5 on it." in printed(stopping=chosen)
