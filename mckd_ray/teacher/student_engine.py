"""The `student` engine: a trained student of ours as the teacher; real, imperfect and cheap."""

from mckd_ray.errors import ModelError
from mckd_ray.student import load
from mckd_ray.student.base import Labeller
from mckd_ray.teacher import Commission


def make(commission: Commission) -> Labeller:
    """The student in the commission's checkpoint. Raises ModelError if there is none."""
    if commission.checkpoint is None:
        raise ModelError("teacher.engine 'student' needs the checkpoint of a trained student, and was given none.")
    return load(commission.checkpoint)
