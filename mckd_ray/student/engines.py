"""Which engine a sequence-to-sequence student labels with: the one that is asked for, or the faster one here."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from mckd_ray.errors import ModelError
from mckd_ray.records import Example, Label
from mckd_ray.student import kind
from mckd_ray.student.base import Generation, Labeller
from mckd_ray.student.ctranslate2_labeller import CTranslate2Labeller, obstacle
from mckd_ray.student.seq2seq import read_student

TRIAL = 32
"""Inputs that both engines label to see which is faster; of fewer than four times as many, torch labels all."""


def load_seq2seq(folder: Path, generation: Generation) -> Labeller:
    """The student in `folder` in the engine that is asked for. Raises ModelError if it can't be used."""
    config, pieces, settings = read_student(folder)
    why_not = obstacle(config.model_type, pieces)

    def in_torch() -> Labeller:
        return kind("seq2seq").load(folder)

    def in_ctranslate2() -> Labeller:
        return CTranslate2Labeller(folder, generation.quantization or "float32", pieces, settings, in_torch)

    if generation.engine == "auto":
        return in_torch() if why_not or torch.cuda.is_available() else Faster(in_torch(), in_ctranslate2())
    if why_not:
        raise ModelError(
            f"student.engine=ctranslate2 can't label with {folder}: {why_not}; or set student.engine=torch."
        )
    return in_ctranslate2()


class Faster(Labeller):
    """Of two labellers whose labels are the same, the one that is faster on the first inputs."""

    def __init__(self, usual: Labeller, other: Labeller) -> None:
        """`usual` labels as long as there is too little to measure with."""
        self._usual, self._other = usual, other
        self._chosen: Labeller | None = None
        self.engine = usual.engine

    def label(self, examples: Sequence[Example]) -> list[Label]:
        """One label for each example, in order."""
        if self._chosen is None and len(examples) >= 4 * TRIAL:
            self._measure([examples[place * len(examples) // TRIAL] for place in range(TRIAL)])
        return (self._chosen or self._usual).label(examples)

    def _measure(self, examples: Sequence[Example]) -> None:
        seconds = {labeller: _seconds(labeller, examples) for labeller in (self._usual, self._other)}
        faster, slower = sorted(seconds, key=seconds.__getitem__)
        self._chosen = faster
        ratio = seconds[slower] / seconds[faster]
        self.engine = f"{faster.engine}, {ratio:.1f} times as fast as {slower.engine} on {len(examples)} inputs"


def _seconds(labeller: Labeller, examples: Sequence[Example]) -> float:
    labeller.label(examples[:2])  # What is done only once is not what is compared.
    start = time.perf_counter()
    labeller.label(examples)
    return time.perf_counter() - start
