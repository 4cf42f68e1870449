"""What a model wrote, read as an annotation: strictly, else repaired, else not at all."""

from mckd_ray.errors import LinearisationError
from mckd_ray.records import Example, Outcome
from mckd_ray.tasks.base import Linearisation


def read_answer(raw: str, linearisation: Linearisation, example: Example) -> tuple[str, Outcome, str]:
    """(target, outcome, reason) of the text `raw`.

    A text that isn't a linearisation is repaired. If the repair gives what it gives for an empty text, then nothing
    of it could be used, and the outcome is `unparsable`. The reason is that of the strict parser; empty where `ok`.
    """
    if not raw.strip():
        return "", Outcome.UNPARSABLE, "the answer is empty"
    try:
        return linearisation.parse(raw, example), Outcome.OK, ""
    except LinearisationError as error:
        reason = str(error)
    target = linearisation.repair(raw, example)
    if not target or target == linearisation.repair("", example):
        return "", Outcome.UNPARSABLE, reason
    return target, Outcome.REPAIRED, reason
