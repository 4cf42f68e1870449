"""Few-shot prompts: the instruction and the shots first, which inputs share; then the input.

A template is a text file: the instruction, a line `---`, and the form of an example. `{names}` stands for the names
(labels, slots, intents) that the labelled examples use, `{input}` and `{output}` for an example's own. Those of the
package are `templates/TASK.LINEARISATION.txt`; `teacher.template` names another.
"""

from collections.abc import Sequence
from pathlib import Path

from mckd_ray.errors import ConfigError, nearest
from mckd_ray.records import Example
from mckd_ray.tasks.base import Inventory, Task

TEMPLATES = Path(__file__).parent / "templates"
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
        instruction, form = _parts(template or _packaged(task, name))
        shown = self.linearisation.inventory((target, example) for example, target in labelled)
        names = "\n".join(f"{kind}: {', '.join(values)}" for kind, values in shown.items() if values)
        self.inventory: Inventory = self.linearisation.inventory(
            (target, example) for example, target in [*labelled, *known]
        )
        self._instruction = instruction.replace("{names}", names).strip()
        self._ask, self._answer = form.rstrip("\n").split("{output}")
        self._shots = [(example.source, self.linearisation.linearise(target, example)) for example, target in labelled]
        self._nearest_last = nearest_last
        self._one_line = not any("\n" in output for _, output in self._shots)

    def text(self, example: Example, shots: Sequence[int]) -> str:
        """The prompt with these labelled examples, the most important first, for a model that goes on with a text."""
        examples = [self._question(source) + output + self._answer for source, output in self._shown(shots)]
        return "\n\n".join([self._instruction, *examples, self._question(example.source).rstrip()])

    def messages(self, example: Example, shots: Sequence[int]) -> list[Message]:
        """The prompt with these labelled examples, the most important first, as a chat: questions and answers."""
        turns: list[Message] = []
        for source, output in self._shown(shots):
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

    def _shown(self, shots: Sequence[int]) -> list[tuple[str, str]]:
        order = reversed(shots) if self._nearest_last else shots
        return [self._shots[index] for index in order]

    def _question(self, source: str) -> str:
        return self._ask.replace("{input}", source)


def read_template(path: str) -> str:
    """The text of the template file `path`; empty for no path. Raises ConfigError."""
    if not path:
        return ""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"teacher.template '{path}' cannot be read as text: {error}.") from error
    try:
        _parts(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return text


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content.strip()}


def _parts(template: str) -> tuple[str, str]:
    """The instruction and the form of an example."""
    instruction, line, form = template.partition("\n---\n")
    if not line or form.count("{output}") != 1 or "{input}" not in form.split("{output}")[0]:
        raise ConfigError(
            "a template is an instruction, a line ---, and the form of an example with {input} and then one {output}."
        )
    return instruction, form


def _packaged(task: Task, name: str) -> str:
    """The package's template for a linearisation of the task."""
    known = [
        path.name.removeprefix(f"{task.name}.").removesuffix(".txt") for path in TEMPLATES.glob(f"{task.name}.*.txt")
    ]
    if name not in known:
        raise ConfigError(
            f"teacher.linearisation: there is no prompt template for '{name}' of the task '{task.name}'."
            f"{nearest(name, known)} Or give one as teacher.template."
        )
    return (TEMPLATES / f"{task.name}.{name}.txt").read_text(encoding="utf-8")
