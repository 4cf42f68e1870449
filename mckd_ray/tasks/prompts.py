"""Few-shot prompts: the instruction and the shots, which all inputs share, first; then the input.

A template is a text file below `templates/`, `TASK.LINEARISATION.txt`: the instruction, a line `---`, and the form of
an example. `teacher.instruction` takes the place of the instruction. `{names}` stands for the names (labels, slots,
intents) that the shots use, `{input}` and `{output}` for an example's own.
"""

from collections.abc import Sequence
from pathlib import Path

from mckd_ray.errors import ConfigError, nearest
from mckd_ray.records import Example
from mckd_ray.tasks.base import Task
from mckd_ray.teacher import Shot

TEMPLATES = Path(__file__).parent / "templates"
LINEARISATIONS = {"constituency": "labelled-words", "semantic": "frame", "text": "plain"}
"""How targets are written in prompts where the config doesn't say: each task's most readable way."""

Message = dict[str, str]
"""`role` (user, assistant) and `content`."""


class Prompts:
    """The prompts of one teacher, for any input."""

    def __init__(self, task: Task, shots: Sequence[Shot], linearisation: str = "", instruction: str = "") -> None:
        """Empty strings: the task's own. Raises ConfigError for a linearisation that has no template."""
        name = linearisation or LINEARISATIONS.get(task.name, "")
        self.linearisation = task.linearisations[_checked(task, name)]
        text = (TEMPLATES / f"{task.name}.{name}.txt").read_text(encoding="utf-8")
        own_instruction, form = text.split("\n---\n")
        inventory = self.linearisation.inventory((target, example) for example, target in shots)
        names = "\n".join(f"{kind}: {', '.join(values)}" for kind, values in inventory.items() if values)
        self._instruction = (instruction or own_instruction).replace("{names}", names).strip()
        self._ask, self._answer = form.rstrip("\n").split("{output}")
        self._shots = [(example.source, self.linearisation.linearise(target, example)) for example, target in shots]
        self._one_line = not any("\n" in output for _, output in self._shots)

    @property
    def shots(self) -> int:
        """How many shots there are."""
        return len(self._shots)

    def text(self, example: Example, shots: int) -> str:
        """The prompt with the first `shots` shots, for a model that goes on with a text."""
        examples = [self._question(source) + output + self._answer for source, output in self._shots[:shots]]
        return "\n\n".join([self._instruction, *examples, self._question(example.source).rstrip()])

    def messages(self, example: Example, shots: int) -> list[Message]:
        """The prompt with the first `shots` shots, as a chat: each shot a question and its answer."""
        turns: list[Message] = []
        for source, output in self._shots[:shots]:
            turns += [_message("user", self._question(source)), _message("assistant", output)]
        turns.append(_message("user", self._question(example.source)))
        turns[0]["content"] = f"{self._instruction}\n\n{turns[0]['content']}"
        return turns

    @property
    def stop(self) -> str:
        """What ends an answer: the end of the line, or an empty line where the shots' outputs have more than one."""
        return "\n" if self._one_line else "\n\n"

    def answer(self, text: str) -> str:
        """The answer at the beginning of what a model wrote to go on with a prompt's text."""
        return text.strip().split(self.stop)[0].strip()

    def _question(self, source: str) -> str:
        return self._ask.replace("{input}", source)


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content.strip()}


def _checked(task: Task, name: str) -> str:
    """`name` if it is a linearisation of the task for which there is a template."""
    known = [
        path.name.removeprefix(f"{task.name}.").removesuffix(".txt") for path in TEMPLATES.glob(f"{task.name}.*.txt")
    ]
    if name not in known:
        raise ConfigError(
            f"teacher.linearisation: there is no prompt template for '{name}' of the task '{task.name}'."
            + nearest(name, known)
        )
    return name
