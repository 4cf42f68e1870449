"""Students: the three kinds, and any trained student by its folder."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from mckd_ray.errors import ConfigError, ModelError, nearest
from mckd_ray.student.card import read_card

if TYPE_CHECKING:
    from mckd_ray.config import StudentConfig
    from mckd_ray.student.base import Generation, Labeller, StudentKind

KINDS = ("seq2seq", "tagger", "causal")


def relabels_with(student: "StudentConfig", gpus: float) -> str:
    """The engine that `student.engine` means where labelling gets so many GPUs; auto, if a student's actor chooses."""
    if student.engine == "auto" and student.kind == "causal" and gpus >= 1 and importlib.util.find_spec("vllm"):
        return "vllm"
    return student.engine


def kind(name: str) -> "StudentKind":
    """The kind of student that is called `name`; imports torch only now. Raises ConfigError for another name."""
    if name == "tagger":
        from mckd_ray.student.tagger import Tagger

        return Tagger()
    if name == "seq2seq":
        from mckd_ray.student.seq2seq import Seq2Seq

        return Seq2Seq()
    if name == "causal":
        from mckd_ray.student.causal import Causal

        return Causal()
    raise ConfigError(f"student.kind={name} is not a kind of student.{nearest(name, KINDS)}")


def use_threads(count: int) -> None:
    """Let this process compute with `count` threads: contended threads are several times slower than one."""
    import torch

    torch.set_num_threads(count)


def load(folder: Path, generation: "Generation | None" = None) -> "Labeller":
    """The trained student in `folder`, of whatever kind, ready to label; by torch unless told. Raises ModelError."""
    name = read_card(folder)["kind"]
    if name not in KINDS:
        raise ModelError(f"{folder}: is a student of the kind '{name}', which is not known here.{nearest(name, KINDS)}")
    if name == "seq2seq" and generation is not None and generation.engine != "torch":
        from mckd_ray.student.engines import load_seq2seq

        return load_seq2seq(folder, generation)
    return kind(name).load(folder)
