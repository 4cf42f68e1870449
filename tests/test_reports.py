"""How a step ended, in a sentence."""

from ray.exceptions import RayTaskError

from mckd_ray.errors import DataError, StepError
from mckd_ray.runner.reports import failed


def test_an_error_of_ours_is_told_as_it_is() -> None:
    report = failed("digest", DataError("labels.jsonl:3: is no JSON."), 0.0, 1.0)
    assert (report.message, report.exit_status) == ("labels.jsonl:3: is no JSON.", 2)


def test_an_error_from_another_process_is_told_as_it_was_there() -> None:
    cause = DataError("labels.jsonl:3: is no JSON.")
    there = RayTaskError("label", "Traceback (most recent call last): ...", cause)  # type: ignore[no-untyped-call]
    posing = there.as_instanceof_cause()  # type: ignore[no-untyped-call]
    assert isinstance(posing, DataError)
    report = failed("digest", posing, 0.0, 1.0)
    assert (report.message, report.exit_status) == ("labels.jsonl:3: is no JSON.", 2)


def test_an_error_of_others_is_told_by_type_and_last_line() -> None:
    report = failed("digest", RuntimeError("much\nCUDA out of memory"), 0.0, 1.0)
    assert (report.message, report.exit_status) == ("RuntimeError: CUDA out of memory", 1)
    wrapped = StepError("gave up")
    wrapped.__cause__ = RuntimeError("why")
    assert failed("digest", wrapped, 0.0, 1.0).message == "gave up"
