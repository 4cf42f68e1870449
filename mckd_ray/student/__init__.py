"""Students: the three kinds, and any trained student by its folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from mckd_ray.errors import ConfigError, ModelError, nearest
from mckd_ray.student.card import kind_in

if TYPE_CHECKING:
    from mckd_ray.student.base import Labeller, StudentKind

KINDS = ("seq2seq", "tagger", "causal")


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


def load(folder: Path) -> "Labeller":
    """The trained student in `folder`, of whatever kind, ready to label. Raises ModelError."""
    name = kind_in(folder)
    if name not in KINDS:
        raise ModelError(f"{folder}: is a student of the kind '{name}', which is not known here.{nearest(name, KINDS)}")
    return kind(name).load(folder)
