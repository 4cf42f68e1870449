"""How a model is served: addresses, replicas, batches, limits. Plain data, which a Serve config file can hold."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from mckd_ray.config_file import read_section
from mckd_ray.section import Section
from mckd_ray.student.base import Generation

TOKEN_VARIABLE = "MCKD_SERVE_TOKEN"  # noqa: S105  (the variable's name, not a token)
"""The environment variable with the bearer token; never part of a config."""

SURGE_PERCENT = 25
"""During an update, so many more replicas (rounded up): the old ones go on until new ones are ready."""
EXAMPLES = {
    "constituency": (
        "The cat that I saw yesterday sleeps on the old sofa.",
        "We measured the volume of the striatum in (male) mice, and compared it with that of their litters.",
        'She said: "Nobody who has read the report would call it a surprise."',
        "Although the committee, which had met twice before the elections in spring, knew that the first of the two "
        "proposals was the cheaper one, its members voted for the second, because they believed that it would be "
        "easier to explain to the public.",
    ),
    "semantic": (
        "play some jazz by miles davis",
        "book a table for two in boston tomorrow night",
        "show me flights from denver to san francisco on monday morning",
    ),
    "text": ("The cat sleeps.", "It rained the whole day."),
}


class Limits(Section):
    """What a request may ask for. Beyond it, a request is refused with a reason."""

    body_bytes: int = Field(1 << 20, ge=1024)
    """Largest body of `/v1/parse`."""
    inputs: int = Field(256, ge=1)
    """Most inputs of a request to `/v1/parse`."""
    tokens: int = Field(256, ge=1, le=2048)
    """Most tokens of an input."""
    characters: int = Field(10_000, ge=1)
    """Longest text of an input."""
    token_characters: int = Field(500, ge=1)
    """Longest token."""
    bulk_bytes: int = Field(64 << 20, ge=1024)
    """Largest body of `/v1/parse/bulk`. Serve's proxy takes in a body as fast as it comes: this bounds its memory."""
    bulk_streams: int = Field(4, ge=1)
    """Most bulk requests at once, for each replica of the ingress."""
    waiting: int = Field(2048, ge=1)
    """Most inputs that wait for an answer, for each replica of the ingress; a request beyond is told to come again."""
    request_s: float = Field(30, gt=0)
    """How long a request may take, its body's arrival left out."""
    body_s: float = Field(10, gt=0)
    """How long a body may take to arrive; of a bulk body, each part."""


class Replicas(Section):
    """Copies of a deployment; more than `least` are started under load."""

    least: int = Field(1, ge=1)
    """How many there are always."""
    most: int = Field(1, ge=1)
    """How many there are under load."""
    cpus: float = Field(1, ge=0)
    """CPUs for each; as many threads compute."""
    gpus: float = Field(0, ge=0)
    """GPUs for each."""

    @model_validator(mode="after")
    def _ordered(self) -> "Replicas":
        if self.most < self.least:
            raise ValueError(f"most={self.most} is below least={self.least}")
        return self


class Batching(Section):
    """How inputs of several requests are labelled together."""

    tokens: int = Field(4096, ge=1)
    """Most tokens in a batch, padding included."""
    wait_s: float = Field(0.02, ge=0)
    """How long a batch waits for as many inputs as the last one had. A lone client never waits."""


class ServingConfig(Section):
    """One model behind one endpoint."""

    model: str
    """A run's folder, a step's folder or digest, an exported folder, or the URI of one in a bucket."""
    system: str | None = None
    """Of a run's folder: the system whose final student is served."""
    version: str = ""
    """The model's id when the config was made: a new one has Serve exchange the replicas one by one."""
    engine: Literal["auto", "torch", "ctranslate2"] = "torch"
    """What generates for a student of T5's kind: CTranslate2 is the faster one without a GPU. auto: what `mckd predict`
    measures to be faster on the file's inputs; torch for an endpoint, whose batches are too small to measure."""
    quantization: Literal["int8"] | None = None
    """ctranslate2: the precision of the weights. int8 is faster, and its labels may differ."""
    replicas: Replicas = Replicas()
    """The model's."""
    ingress: Replicas = Replicas(cpus=0)
    """Those that take requests."""
    batching: Batching = Batching()
    """How inputs are labelled together."""
    limits: Limits = Limits()
    """What a request may ask for."""
    token: bool = False
    """Whether requests must bear the token in MCKD_SERVE_TOKEN."""
    examples: tuple[str, ...] = ()
    """Inputs that the page offers (default: some of the task's)."""
    hosts: tuple[str, ...] = ()
    """Host names that requests may name (default: any)."""
    cors_origins: tuple[str, ...] = ()
    """Other sites whose pages may call the endpoint from a browser."""
    access_log: str = ""
    """The file that gets a line of JSON for each request (default: the replica's standard error, in Ray's log)."""
    drain_s: float = Field(30, ge=0)
    """How long a replica that is stopped may finish what it has begun."""

    @property
    def generation(self) -> Generation:
        """How the student labels."""
        return Generation(self.engine, self.quantization)

    def examples_for(self, task: str) -> tuple[str, ...]:
        """Inputs that the page offers."""
        return self.examples or EXAMPLES.get(task, ())


def read_settings(run: str, system: str | None, overrides: Sequence[str]) -> ServingConfig:
    """The settings for the model that `run` stands for, after `key.subkey=value` overrides. Raises ConfigError."""
    return read_section(ServingConfig, {"model": run, "system": system}, overrides, run)
