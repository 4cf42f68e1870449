"""What goes over the wire, as pydantic models: requests are validated by them, responses documented."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Index = Annotated[int, Field(ge=0)]
_SENTENCE = "The cat that I saw sleeps."


class Message(BaseModel):
    """Strict: no field is converted from another type, and unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True, frozen=True)


class Input(Message):
    """One input: either `text` or `tokens`."""

    id: str | None = Field(None, max_length=200)
    """Comes back with the answer."""
    text: str | None = None
    """One sentence or utterance, as it is written; it is tokenised as the model's corpus was."""
    tokens: list[str] | None = None
    """The same, already tokenised. The annotation covers exactly these."""

    @model_validator(mode="after")
    def _one_of(self) -> "Input":
        if (self.text is None) == (self.tokens is None):
            raise ValueError("give either `text` or `tokens`" + (", not both" if self.text is not None else ""))
        return self


class ParseRequest(Input):
    """One input, or several under `inputs`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": _SENTENCE},
                {"tokens": ["The", "cat", "sleeps", "."]},
                {"inputs": [{"id": "a", "text": _SENTENCE}, {"id": "b", "tokens": ["It", "rains", "."]}]},
            ]
        }
    )

    inputs: list[Input] | None = Field(None, min_length=1)
    """Several inputs, answered in order."""

    @model_validator(mode="after")
    def _one_of(self) -> "ParseRequest":
        given = [name for name in ("text", "tokens", "inputs") if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"; {' and '.join(given)} were given" if given else ""
            raise ValueError(f"give exactly one of `text`, `tokens` and `inputs`{found}")
        if self.inputs is not None and self.id is not None:
            raise ValueError("`id` belongs to a single input; give each of `inputs` its own")
        return self


class Node(BaseModel):
    """A constituent with `children`, or a token with its part of speech and `word`."""

    label: str
    start: Index
    """The first token, from 0."""
    end: Index
    """The token after the last."""
    start_char: Index | None = None
    """Where it begins in `text`, in characters (Unicode code points)."""
    end_char: Index | None = None
    word: str | None = None
    children: list["Node"] | None = None


class Slot(BaseModel):
    """The tokens `start` to `end` (exclusive) fill the slot `label`."""

    label: str
    start: Index
    end: Index
    start_char: Index | None = None
    end_char: Index | None = None
    text: str


class Result(BaseModel):
    """The answer to one input."""

    id: str | None = None
    outcome: str = Field(examples=["ok"])
    """ok: written by the model as it is. repaired: mended, see `reason`. unparsable: nothing of what the model wrote
    could be used, and the annotation says next to nothing. failed: no annotation, see `reason`."""
    reason: str | None = None
    confidence: float | None = None
    """The mean log-probability of the model's choices: 0 is certain."""
    output: str | None = None
    """The annotation as one string: brackets; intent and tags; or the text."""
    tokens: list[str] | None = None
    spans: list[tuple[Index, Index]] | None = None
    """Where each token stands in `text`."""
    tree: Node | None = None
    """Constituency."""
    intent: str | None = None
    """Slot filling."""
    tags: list[str] | None = None
    slots: list[Slot] | None = None


class Served(BaseModel):
    """Who answered, and how long it took."""

    model: str
    """The model's id."""
    seconds: float
    """From the whole body to the answer."""


class ParseOne(Served, Result):
    """The answer to a single input."""


class ParseMany(Served):
    """The answers to `inputs`, in order."""

    results: list[Result]


class ErrorMessage(BaseModel):
    """What is wrong, and with which part of the request."""

    field: str
    message: str


class ErrorBody(BaseModel):
    """The body of every 4xx and 5xx."""

    error: ErrorMessage


class ModelInfo(BaseModel):
    """The model that is served, and what it takes."""

    id: str
    name: str
    task: str
    kind: str
    linearisation: str
    constrained: bool
    about: dict[str, Any]
    """System, scores, corpus, as far as known."""
    limits: dict[str, float]
    examples: list[str]
    """Inputs to try."""


class State(BaseModel):
    """Whether the endpoint is there."""

    status: str
