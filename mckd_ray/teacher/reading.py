"""From an answer to a label: each sample read as an annotation, several combined by consensus."""

import math

from mckd_ray.records import Answer, Example, Label, Outcome
from mckd_ray.tasks.answers import read_answer
from mckd_ray.tasks.base import Linearisation, Task


def label_of(example: Example, answer: Answer, linearisation: Linearisation, task: Task) -> Label:
    """The label that an answer stands for.

    Of several samples it is the one that agrees best with the others under the task's own score (minimum Bayes risk).
    """
    if not answer.answered:
        return Label(example.id, "", "", Outcome.FAILED, reason=answer.failure)
    labels = []
    for text, logprob in zip(answer.texts, answer.logprobs, strict=True):
        target, outcome, reason = read_answer(text, linearisation, example)
        labels.append(Label(example.id, target, text, outcome, logprob, reason))
    return labels[0] if len(labels) == 1 else _consensus(labels, example, task)


def _consensus(labels: list[Label], example: Example, task: Task) -> Label:
    """The usable label that agrees best; its confidence is the logarithm of its mean agreement with all the others."""
    usable = sorted((label for label in labels if label.outcome.usable), key=lambda label: -label.confidence)
    if not usable:
        return labels[0]
    agreement = task.agreement([label.target for label in usable], example)
    best = max(range(len(usable)), key=lambda index: agreement[index])
    # What cannot be read agrees with nothing.
    share = agreement[best] / (len(labels) - 1)
    chosen = usable[best]
    confidence = math.log(share) if share > 0 else -math.inf
    return Label(example.id, chosen.target, chosen.raw, chosen.outcome, confidence, chosen.reason)
