"""The form of prompts: the instruction, and how an example stands behind it.

It is read from a template, a text file: the instruction, a line `---`, and the form of an example. `{names}` stands for
the names (labels, slots, intents) that the labelled examples use, `{input}` and `{output}` for an example's own. Those
of the package are `templates/TASK.LINEARISATION.txt`; `teacher.template` names another.
"""

from dataclasses import dataclass
from pathlib import Path

from mckd_ray.errors import ConfigError, nearest
from mckd_ray.tasks.base import Inventory, Task

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class PromptForm:
    """The parts of a prompt beside the examples' own inputs and outputs."""

    instruction: str
    ask: str
    """What is before an input, with an empty line before it."""
    between: str
    """What is between the input and its output, without the space before the output."""
    after: str
    """What is behind the output."""
    space: str
    """What is between `between` and the output."""

    @property
    def fixed(self) -> tuple[str, ...]:
        """The parts that are the same in all prompts."""
        parts = (self.instruction, self.ask.rstrip(), *self.between.split("{input}"))
        return tuple(part for part in parts if part.strip())

    def input(self, source: str) -> str:
        """An example up to its input."""
        return self.ask + source

    def question(self, source: str) -> str:
        """An example up to its output."""
        return self.input(source) + self.between.replace("{input}", source)

    def output(self, output: str) -> str:
        """An example from its output on."""
        return self.space + output + self.after


def prompt_form(task: Task, linearisation: str, names: Inventory, template: str = "") -> PromptForm:
    """The form that a template's text gives; an empty one stands for the package's own.

    Raises ConfigError for a linearisation without a template, or a template without its parts.
    """
    instruction, example = _parts(template or _packaged(task, linearisation))
    listed = "\n".join(f"{kind}: {', '.join(values)}" for kind, values in names.items() if values)
    question, after = example.rstrip("\n").split("{output}")
    ask, between = question.split("{input}", maxsplit=1)
    return PromptForm(
        instruction=instruction.replace("{names}", listed).strip(),
        ask=f"\n\n{ask}",
        between=between.rstrip(),
        after=after,
        space=between[len(between.rstrip()) :],
    )


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


def _parts(template: str) -> tuple[str, str]:
    """The instruction and the form of an example."""
    instruction, line, form = template.partition("\n---\n")
    if not line or form.count("{output}") != 1 or "{input}" not in form.split("{output}")[0]:
        raise ConfigError(
            "a template is an instruction, a line ---, and the form of an example with {input} and then one {output}."
        )
    return instruction, form


def _packaged(task: Task, linearisation: str) -> str:
    """The package's template for a linearisation of the task."""
    paths = TEMPLATES.glob(f"{task.name}.*.txt")
    known = [path.name.removeprefix(f"{task.name}.").removesuffix(".txt") for path in paths]
    if linearisation not in known:
        raise ConfigError(
            f"linearisation: there is no prompt template for '{linearisation}' of the task '{task.name}', which a"
            f" prompted teacher or a causal student needs.{nearest(linearisation, known)} Or give a teacher one as"
            " teacher.template."
        )
    return (TEMPLATES / f"{task.name}.{linearisation}.txt").read_text(encoding="utf-8")
