"""An experiment's config: YAML read into frozen, validated sections.

`corpus`, `task`, `teacher`, `student` and `plan` change the result and are part of every step's identity;
`resources`, `store` and `tracking` say how it is run, and never are; nor is `search`, which only `mckd sweep` reads.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from mckd_ray.search_config import SearchConfig
from mckd_ray.section import Section

DATA_SCHEME = "data:"
"""Begins a path to a corpus that `mckd data get` left."""


class TaskConfig(Section):
    """Which task it is."""

    kind: str
    """What is generated: constituency (labelled trees), semantic (intent and slots), text (any text), or a task of
    your own in mckd_ray/tasks."""


class SourceConfig(Section):
    """Where rows with inputs, and gold where there is any, come from."""

    format: Literal["builtin", "jsonl", "csv", "parquet", "penn", "slu", "huggingface"] = "jsonl"
    """builtin: made by the grammar; penn: folders of .tree or .mrg; slu: seq.in/seq.out/label; huggingface: dataset."""
    path: str = ""
    """A folder with one file or folder a split, or a hub name. `data:NAME` is what `mckd data get NAME` left."""
    files: Mapping[str, str] = Field(default_factory=dict)
    """Split (train, dev, test) to file or folder below `path`, where they are not named train.*, dev.*, test.*."""
    fields: Mapping[str, str] = Field(default_factory=dict)
    """Our field name (id, tokens, text, tree, tags, intent, target) to the corpus's own column."""
    max_tokens: int | None = Field(None, ge=1)
    """Leave out longer inputs."""


class GeneralConfig(SourceConfig):
    """Gold of another, general domain: for the base student and for a `student` teacher. Its train split is used."""

    rows: int | None = Field(None, ge=1)
    """How many rows, drawn by the corpus's seed (default: all)."""


class CorpusConfig(SourceConfig):
    """The corpus: a labelled budget, an unlabelled pool, and dev and test for evaluation only."""

    labelled: int = Field(50, ge=0)
    """The labelled budget: how many rows of train may show their gold. They are not part of the pool."""
    held_out: int = Field(0, ge=0)
    """So many rows of the labelled budget are dev instead: to choose settings by where there is no dev (dev: 0)."""
    pool: int | None = Field(None, ge=1)
    """How many other rows of train are the unlabelled pool (default: all)."""
    dev: int | None = Field(None, ge=0)
    """How many rows of dev are used (default: all)."""
    test: int | None = Field(None, ge=1)
    """How many rows of test are used (default: all)."""
    seed: int = 1
    """Seeds the draws, and the grammar of the built-in corpus."""
    general: GeneralConfig | None = None
    """Gold of a general domain, if any."""


class ScratchConfig(Section):
    """The size of a student that starts from random weights."""

    width: int = Field(128, ge=8)
    """Hidden size."""
    layers: int = Field(2, ge=1)
    """Transformer layers (of the encoder; a sequence-to-sequence decoder has as many)."""
    heads: int = Field(4, ge=1)
    """Attention heads; divides `width`."""
    vocabulary: int = Field(8000, ge=100)
    """At most so many words (tagger) or pieces (seq2seq), learned from raw text."""
    encoder: str = "words"
    """For a tagger: `words`, our word-level encoder, or a stock transformers model type such as `bert`."""


class TrainingConfig(Section):
    """How a student is trained. Budgets are optimiser steps, the same for every student unless set."""

    steps: int = Field(700, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(32, ge=1)
    """Sentences (causal: packed sequences) in an optimiser step, over all workers and accumulated parts."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate of AdamW; decays linearly to 0."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay."""
    warmup: float = Field(0.06, ge=0, lt=1)
    """Share of the steps over which the rate rises."""
    dropout: float | None = Field(None, ge=0, lt=1)
    """Dropout while training (default: the model's own)."""
    clip: float = Field(1.0, gt=0)
    """Largest gradient norm."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on a GPU that has it, else fp32."""


class TrainingOverrides(Section):
    """Settings of `student.training` that differ for the students of intermediate stages."""

    steps: int | None = Field(None, ge=1)
    """Optimiser steps."""
    learning_rate: float | None = Field(None, gt=0)
    """Peak learning rate."""
    dropout: float | None = Field(None, ge=0, lt=1)
    """Dropout."""


class BaseConfig(Section):
    """The built-in base student: masked words of all raw text, then gold of `corpus.general`. A cached step."""

    masked: TrainingConfig = TrainingConfig(steps=1500, learning_rate=2e-3)
    """How the masked-word part is trained."""
    masked_share: float = Field(0.2, gt=0, lt=1)
    """Share of the words that are masked."""
    supervised: TrainingConfig = TrainingConfig(steps=2000, learning_rate=1.5e-3)
    """How the part on the general domain's gold is trained."""


class StudentConfig(Section):
    """The student model, where it starts, and how it is trained."""

    kind: Literal["seq2seq", "tagger", "causal"] = "tagger"
    """tagger: an encoder that writes all tags in one pass; seq2seq: an encoder-decoder; causal: a decoder, which goes
    on with a prompt."""
    linearisation: str = "tags"
    """How targets are written: words, labelled-words, tags, interleaved (constituency); interleaved, tags, frame
    (semantic); plain (text)."""
    model: str = "scratch"
    """`scratch`, a hub name, or a folder of a checkpoint."""
    scratch: ScratchConfig = ScratchConfig()
    """Sizes of a student from scratch."""
    base: BaseConfig | None = None
    """Pretrain a base student first, from which all students start."""
    training: TrainingConfig = TrainingConfig()
    """How students are trained."""
    intermediate: TrainingOverrides = TrainingOverrides()
    """What differs for the students of intermediate stages."""
    constrain: bool = True
    """Generate only what is legal for the input."""
    engine: Literal["auto", "torch", "ctranslate2", "vllm"] = "auto"
    """What a trained seq2seq or causal student labels with. ctranslate2: seq2seq of T5's kind; vllm: causal, on the
    teacher's own actors. auto: vllm for a causal one on GPUs; without, whichever of the others measures faster."""
    quantization: Literal["int8"] | None = None
    """ctranslate2: weights of so few bits: faster, and a few labels differ."""
    max_source: int = Field(512, ge=8)
    """Longest input of a seq2seq or causal student, in pieces; a causal one reads and writes so many and max_target."""
    max_target: int = Field(512, ge=8)
    """Longest output of a seq2seq or causal student, in pieces."""


class TeacherConfig(Section):
    """Who writes the first pseudolabels."""

    engine: Literal["auto", "vllm", "openai", "transformers", "student", "replay", "simulated"] = "auto"
    """vllm, transformers: a causal LM, prompted with shots, in this cluster (auto: vllm where it is installed, else
    transformers); openai: one behind an OpenAI-compatible server; student: a student of ours, trained on general gold
    and the shots; replay: a file of labels that somebody has; simulated: gold with noise, for studies of noise only."""
    model: str = ""
    """vllm, transformers: a hub name, a folder, or `scratch`: a small one, trained first as `student` says. openai: the
    server's name for it. replay: the file."""
    student: StudentConfig | None = None
    """student, or model `scratch`: the model and its training (default: that of `student`, from scratch)."""
    shots: int = Field(50, ge=0)
    """How many labelled examples it sees, from the labelled budget; of prompts, at most as many as fit the context."""
    shot_selection: Literal["random", "similar", "diverse"] = "random"
    """Which ones a prompt shows. random: a seeded draw; diverse: what covers most names and lengths; similar: the
    nearest to each input by TF-IDF."""
    shot_weight: int = Field(1, ge=1)
    """student: how many times each shot counts beside a row of the general gold."""
    linearisation: str = ""
    """How targets are written in prompts (default: the task's most readable). replay: how `output` is written."""
    template: str = ""
    """A file with the prompt's instruction and form (default: that of the task and linearisation). A model `scratch` is
    trained on it too."""
    constrain: Literal["none", "regex", "grammar"] = "none"
    """vllm: what an answer may be. regex: the input's own words in order; grammar: a linearisation of the input."""
    samples: int = Field(1, ge=1, le=64)
    """Answers for each input; the one that agrees best with the others is the label, its agreement the confidence."""
    temperature: float = Field(0, ge=0, le=2)
    """0: greedy. Several samples need more."""
    max_new_tokens: int = Field(512, ge=1)
    """Longest answer, in tokens."""
    max_model_len: int | None = Field(None, ge=16)
    """vllm: longest prompt with its answer, in tokens (default: the model's own)."""
    dtype: str = "auto"
    """vllm: the precision of the weights."""
    quantization: str | None = None
    """vllm: the quantisation of the checkpoint (default: what its config says)."""
    noise: float = Field(0.2, ge=0, le=1)
    """simulated: share of the parts of an annotation that are corrupted."""
    systematic: float = Field(0.5, ge=0, le=1)
    """simulated: share of that noise that is the same confusion each time."""
    seed: int = 1
    """Seeds its training, its shots, its samples and its noise."""


System = Literal["teacher", "base", "sft", "kd", "mckd", "self", "born-again"]


class SelectionConfig(Section):
    """Which of the pool's labels a student trains on, and how much each counts. Unusable ones never do."""

    by: Literal["none", "confidence", "agreement"] = "none"
    """confidence: the labeller's own (without one, a label counts as sure); agreement: after stage 1, how well the
    latest label agrees with the teacher's, under the task's score."""
    keep: float = Field(1.0, gt=0, le=1)
    """The share of the labels that is kept: those with most."""
    weigh: bool = False
    """Let each label count by its confidence (as a probability) or agreement, from 0 to 1."""


class PlanConfig(Section):
    """The method's own settings (MCKD, section 3 of the paper)."""

    stages: int = Field(3, ge=1)
    """K: stages 1..K-1 relabel the pool, stage K trains the final student. 1 is vanilla KD."""
    partitions: int = Field(2, ge=2)
    """P: disjoint parts of the pool."""
    train_on: Literal["own", "others"] = "own"
    """What an intermediate student sees: its own partition, or all but one (as in cross-fitting)."""
    students: int = Field(1, ge=1)
    """How many students each group of partitions has at an intermediate stage; they differ in their seed."""
    consensus: Literal["best", "parts"] = "best"
    """Where several students label an input. best: the answer that agrees most with the others; parts: a new one, of
    the spans or chunks that most answers have."""
    mix: Literal["cross", "teacher+cross", "cross+self"] = "cross"
    """What students after stage 1 train on: the latest labels; the teacher's and the latest; or the latest and those
    that students gave to their own partitions."""
    selection: SelectionConfig = SelectionConfig()
    """Which labels of the pool are trained on."""
    gold_weight: int = Field(0, ge=0)
    """How many copies of the labelled budget each student of the pool trains on beside it."""
    systems: tuple[System, ...] = ("teacher", "sft", "kd", "mckd")
    """What is compared; base: the base student as it is; self, born-again: relabelling of what was seen."""
    seeds: tuple[int, ...] = Field((1,), min_length=1)
    """Each student is trained once for each; scores get mean and spread."""
    evaluate: tuple[Literal["dev", "test"], ...] = ("test",)
    """The splits that the systems are scored on."""
    stopping: Literal["none", "budget"] = "none"
    """budget: the result names the number of stages whose final student is best on the labelled budget, which no
    student of the pool has trained on."""


class Placement(Section):
    """On which nodes the processes of a part of the run are put."""

    accelerator_type: str | None = None
    """Only on nodes with this accelerator, by Ray's name for it, such as L4, L40S, A100 or H100 (default: any)."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Only on nodes with all of these Ray labels, such as {mckd: teacher}."""
    memory_gib: float = Field(0, ge=0)
    """Memory that each process is given room for on its node (0: it is not counted)."""


class StudentResources(Placement):
    """What one training run gets."""

    workers: int = Field(1, ge=1)
    """Data-parallel workers of one Ray Train run."""
    cpus: float = Field(1, gt=0)
    """CPUs for each worker."""
    gpus: float = Field(0, ge=0)
    """GPUs for each worker."""
    accumulate: int = Field(1, ge=1)
    """Parts that a worker's share of a batch is split into, to save memory."""


class LabellingResources(Placement):
    """The pool of actors that labels inputs, for teachers and students."""

    actors: int = Field(1, ge=1)
    """How many actors."""
    cpus: float = Field(1, gt=0)
    """CPUs for each actor."""
    gpus: float = Field(0, ge=0)
    """GPUs for each actor."""
    chunk: int = Field(256, ge=1)
    """Inputs that an actor gets at a time."""


class PriceConfig(Section):
    """What a million tokens cost, in any currency."""

    input: float = Field(0, ge=0)
    """Tokens of prompts."""
    cached: float | None = Field(None, ge=0)
    """Tokens of prompts that the engine had in its cache (default: as `input`)."""
    output: float = Field(0, ge=0)
    """Tokens of answers."""


class TeacherResources(Placement):
    """What a prompted teacher gets."""

    replicas: int = Field(1, ge=1)
    """Actors, each with an engine and the whole model."""
    cpus: float = Field(1, gt=0)
    """CPUs for each replica."""
    gpus: int = Field(0, ge=0)
    """GPUs for each replica, over which its model is split (tensor parallelism)."""
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1)
    """vllm: the share of a GPU's memory that it takes."""
    enforce_eager: bool | None = None
    """vllm: don't compile the model (default: compile on a GPU only)."""
    prefix_caching: bool = True
    """vllm: compute what prompts begin with in common once."""
    max_restarts: int = Field(3, ge=0)
    """How often dead engines are replaced before the step fails."""
    concurrency: int = Field(64, ge=1)
    """openai: requests in flight at once, for each replica."""
    requests_per_minute: int | None = Field(None, ge=1)
    """openai: at most so many requests are sent, for each replica."""
    timeout_s: float = Field(120, gt=0)
    """openai: how long an attempt may take."""
    attempts: int = Field(6, ge=1)
    """openai: attempts for each request, with growing pauses, before its row is a failed one."""
    price: PriceConfig | None = None
    """What tokens cost, for estimates and records."""


class NodeGroup(Section):
    """Nodes of one kind, which the cluster's autoscaler starts when there is work for them."""

    most: int = Field(ge=1)
    """At most so many."""
    cpus: float = Field(ge=0)
    """CPUs of each."""
    gpus: float = Field(0, ge=0)
    """GPUs of each."""
    memory_gib: float = Field(0, ge=0)
    """Memory of each."""
    accelerator_type: str | None = None
    """Their accelerator, by Ray's name for it."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Their Ray labels."""


class ResourcesConfig(Section):
    """How the experiment is run; never part of identity."""

    teacher: TeacherResources = TeacherResources()
    """A prompted teacher."""
    student: StudentResources = StudentResources()
    """Training runs."""
    labelling: LabellingResources = LabellingResources()
    """Labelling by students, and by teachers that are not prompted."""
    autoscaling: Mapping[str, NodeGroup] = Field(default_factory=dict)
    """What the cluster may grow by, by the group's name; without it, what wants more than there is now is refused."""


class StoreConfig(Section):
    """Where steps and runs are kept."""

    root: str = "runs"
    """A folder (local or shared between all nodes) or a bucket (s3://BUCKET/PREFIX, gs://BUCKET/PREFIX): steps/ and one
    folder a run below it."""


class TrackingConfig(Section):
    """Where training curves go beside TensorBoard's files, which each training step has in its folder."""

    to: tuple[Literal["wandb", "mlflow"], ...] = ()
    """Also there. Keys and addresses come from the environment of Ray's nodes: WANDB_API_KEY, MLFLOW_TRACKING_URI."""
    project: str = "mckd"
    """The project of W&B, or the experiment of MLflow."""


class ExperimentConfig(Section):
    """A whole experiment."""

    name: str = Field("", pattern=r"^[A-Za-z0-9._-]*$")
    """The run's name (default: that of the config file)."""
    task: TaskConfig
    """The task."""
    corpus: CorpusConfig
    """The corpus."""
    teacher: TeacherConfig = TeacherConfig()
    """The teacher."""
    student: StudentConfig = StudentConfig()
    """The student."""
    plan: PlanConfig = PlanConfig()
    """The method."""
    resources: ResourcesConfig = ResourcesConfig()
    """How it is run."""
    store: StoreConfig = StoreConfig()
    """Where it is kept."""
    tracking: TrackingConfig = TrackingConfig()
    """Where its training curves go."""
    search: SearchConfig | None = None
    """What `mckd sweep` varies; all other commands take the settings as they stand in the other sections."""
