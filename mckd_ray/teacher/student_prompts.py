"""A causal student as a vLLM engine sees it: its prompts, without any shot, in the pieces that it was trained on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mckd_ray.config import LabellingResources, TeacherConfig, TeacherResources
from mckd_ray.errors import ModelError
from mckd_ray.records import Answer, Example
from mckd_ray.student.card import read_card
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.prompt_form import PromptForm
from mckd_ray.tasks.prompts import Prompts
from mckd_ray.teacher import EngineOrder
from mckd_ray.teacher.engine import Engine, Request
from mckd_ray.teacher.fitting import FittedPrompts


class StudentPrompts(Prompts):
    """What a causal student goes on with, from its card. Importing it loads no torch."""

    def __init__(self, card: Mapping[str, Any]) -> None:
        """`card`: the student's `student.json`."""
        super().__init__(TASKS[card["task"]], [], card["linearisation"])
        self.inventory = {name: tuple(values) for name, values in card["inventory"].items()}
        self._form = PromptForm(**card["form"])


class FittedQuestions(FittedPrompts):
    """The prompts in the pieces that the student was trained on: the instruction and the input apart."""

    def __init__(self, prompts: Prompts, tokenizer: Any, card: Mapping[str, Any]) -> None:
        """`tokenizer`: the student's own."""
        from mckd_ray.student.causal_text import PromptPieces

        super().__init__(prompts, tokenizer, card["max_source"] + card["max_target"], card["max_target"])
        self._own, self._longest = PromptPieces(tokenizer, PromptForm(**card["form"])), card["max_source"]

    @property
    def chat(self) -> bool:
        """A student goes on with a text, whatever it was made from."""
        return False

    def fits(self, pieces: Sequence[int]) -> bool:
        """Whether the input is one that the student takes."""
        return len(pieces) <= self._longest and super().fits(pieces)

    def too_long(self, request: Request, pieces: Sequence[int]) -> Answer:
        """The answer to a request for an input that is too long."""
        reason = f"the input has {len(pieces)} pieces, more than max_source={self._longest}"
        return Answer(request.key, failure=reason)

    def _pieces(self, example: Example, shots: Sequence[int]) -> list[int]:
        return self._own.source(example.source)


class StudentOrder(EngineOrder):
    """An engine with a student in it."""

    def fitted(self, tokenizer: Any, context: int) -> FittedPrompts:
        """The student's prompts."""
        return FittedQuestions(self.prompts, tokenizer, read_card(Path(self.model)))


def as_teacher(folder: Path, resources: LabellingResources) -> tuple[TeacherConfig, TeacherResources]:
    """How the engines of a teacher run the causal student in `folder`. Raises ModelError for another kind."""
    card = read_card(folder)
    if card["kind"] != "causal":
        raise ModelError(f"{folder}: is of the kind '{card['kind']}', and vLLM is for causal students.")
    prompts = StudentPrompts(card)
    any_text = prompts.linearisation.legal(Example("any", ("any",), "any"), prompts.inventory) is None
    config = TeacherConfig(
        engine="vllm",
        shots=0,
        constrain="none" if any_text or not card["constrain"] else "grammar",
        max_new_tokens=card["max_target"],
        max_model_len=card["max_source"] + card["max_target"],
        dtype="float32",
    )
    return config, TeacherResources(replicas=resources.actors, cpus=resources.cpus, gpus=int(resources.gpus))


def start(folder: Path, config: TeacherConfig, resources: TeacherResources) -> Engine:
    """The causal student in `folder` in a vLLM engine. Raises ModelError."""
    from mckd_ray.teacher.vllm_engine import make

    return make(StudentOrder(config, resources, StudentPrompts(read_card(folder)), str(folder)))
