"""Few-shot prompts: the instruction and the shots first, which inputs share; then the input."""

from collections.abc import Sequence

from mckd_ray.records import Example
from mckd_ray.tasks.base import Inventory, Task
from mckd_ray.tasks.prompt_form import prompt_form

LINEARISATIONS = {"constituency": "labelled-words", "semantic": "frame", "text": "plain"}
"""How targets are written in prompts where the config doesn't say: each task's most readable way."""

Shot = tuple[Example, str]
"""An input with its gold, in the task's canonical string."""
Message = dict[str, str]
"""`role` (user, assistant) and `content`."""


class Prompts:
    """The prompts of one teacher, for any input with any of the labelled examples."""

    def __init__(
        self,
        task: Task,
        labelled: Sequence[Shot],
        linearisation: str = "",
        template: str = "",
        nearest_last: bool = False,
        known: Sequence[Shot] = (),
    ) -> None:
        """`linearisation` and `template` (its text, not its file): empty for the task's own.

        `inventory` holds the names that the labelled examples use, and those of other annotations that are `known`.
        With `nearest_last`, the most important shot stands right before the input, else at the beginning.
        Raises ConfigError for a linearisation without a template, or a template without its parts.
        """
        name = linearisation or LINEARISATIONS[task.name]
        self.linearisation = task.linearisations[name]
        names = self.linearisation.inventory((target, example) for example, target in labelled)
        self._form = prompt_form(task, name, names, template)
        self.inventory: Inventory = self.linearisation.inventory(
            (target, example) for example, target in [*labelled, *known]
        )
        self._shots = [(example.source, self.linearisation.linearise(target, example)) for example, target in labelled]
        self._nearest_last = nearest_last
        self._one_line = not any("\n" in output for _, output in self._shots)

    def text(self, example: Example, shots: Sequence[int]) -> str:
        """The prompt with these labelled examples, the most important first, for a model that goes on with a text."""
        form = self._form
        examples = [form.question(source) + form.output(output) for source, output in self._shown(shots)]
        return "".join([form.instruction, *examples, form.question(example.source).rstrip()])

    def messages(self, example: Example, shots: Sequence[int]) -> list[Message]:
        """The prompt with these labelled examples, the most important first, as a chat: questions and answers."""
        turns: list[Message] = []
        for source, output in self._shown(shots):
            turns += [_message("user", self._form.question(source)), _message("assistant", output)]
        turns.append(_message("user", self._form.question(example.source)))
        turns[0]["content"] = f"{self._form.instruction}\n\n{turns[0]['content']}"
        return turns

    @property
    def stop(self) -> str:
        """What ends an answer: the end of the line, or an empty line where the shots' outputs have more than one."""
        return "\n" if self._one_line else "\n\n"

    def answer(self, text: str) -> str:
        """The answer at the beginning of what a model wrote to go on with a prompt's text."""
        return text.strip().split(self.stop)[0].strip()

    def _shown(self, shots: Sequence[int]) -> list[tuple[str, str]]:
        order = reversed(shots) if self._nearest_last else shots
        return [self._shots[index] for index in order]


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content.strip()}
