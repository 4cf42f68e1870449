"""Scores of a task's answers against gold, and tests of the difference between two systems."""

from mckd_ray.evaluation.files import evaluate_files
from mckd_ray.evaluation.scoring import Evaluation, evaluate
from mckd_ray.evaluation.significance import PairedTest, paired_test

__all__ = ["Evaluation", "PairedTest", "evaluate", "evaluate_files", "paired_test"]
