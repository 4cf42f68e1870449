"""What every kind of student offers: a trainer for a job, a self-contained checkpoint folder, and labels from it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mckd_ray.config import StudentConfig, TrackingConfig, TrainingConfig
from mckd_ray.records import Example, Label

if TYPE_CHECKING:
    import transformers

    from mckd_ray.student.trainer import StudentTrainer


@dataclass(frozen=True)
class TrainingJob:
    """One training run of one student, as data: it pickles, and says nothing of Ray."""

    task: str
    student: StudentConfig
    training: TrainingConfig
    objective: Literal["supervised", "masked"]
    """masked: restore masked parts of raw text (the rows' targets are empty)."""
    rows: Path
    """Parquet of TrainingRow."""
    raw_text: Path
    """Parquet of Example: the raw text from which a vocabulary is learned, where the student has none yet."""
    init: Path | None
    """The checkpoint folder of ours to start from; None: `student.model` says where."""
    seed: int
    workers: int
    accumulate: int
    work: Path
    """A folder for the trainer's own checkpoints; `tensorboard`, beside it, gets the curves."""
    template: str = ""
    """causal: the text of the template of its prompts; empty for that of the task and linearisation."""
    name: str = ""
    """For people: what trackers call it."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Who else gets the curves."""

    @property
    def finer(self) -> int | None:
        """The next larger `accumulate` that halves, at least, the rows in memory; None where a part is one row."""
        share = self.training.batch_size // self.workers
        return next((parts for parts in range(2 * self.accumulate, share + 1) if share % parts == 0), None)

    def at(self, place: Callable[[Path], Path]) -> "TrainingJob":
        """The same job with its files elsewhere: `place` says where, from where they are now."""
        init = None if self.init is None else place(self.init)
        rows, raw_text, work = place(self.rows), place(self.raw_text), place(self.work)
        return replace(self, rows=rows, raw_text=raw_text, init=init, work=work)


@dataclass(frozen=True)
class Generation:
    """How a trained student is to label."""

    engine: Literal["auto", "torch", "ctranslate2"] = "torch"
    """auto: of those that can load it, the one that is faster here."""
    quantization: Literal["int8"] | None = None


class Labeller(ABC):
    """Something that labels inputs: a loaded student, or a teacher's engine."""

    engine: str = ""
    """What computes, with its version, for the record; empty where nothing does."""

    @abstractmethod
    def label(self, examples: Sequence[Example]) -> list[Label]:
        """One label for each example, in order. What cannot be labelled is a row that says so; no input raises."""


class StudentKind(ABC):
    """How one kind of student is built, trained, saved and loaded."""

    @abstractmethod
    def trainer(self, job: TrainingJob) -> "StudentTrainer":
        """A trainer that is ready for `train()`, with model, data and seeds set. Same job, same bits.

        Raises ModelError if what it starts from is no model of this kind, DataError if no row can be trained on.
        """

    @abstractmethod
    def save(self, trainer: "transformers.Trainer", job: TrainingJob, folder: Path) -> None:
        """Write the trained student into `folder`: safetensors, tokenizer or vocabularies, and `student.json`."""

    @abstractmethod
    def load(self, folder: Path) -> Labeller:
        """The student in `folder`, ready to label, on the GPU if there is one. Raises ModelError."""
