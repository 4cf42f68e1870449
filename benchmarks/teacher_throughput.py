"""How fast a vLLM teacher labels, beside bare `vllm.LLM.generate` on the same prompts with the same engine options.

    python benchmarks/teacher_throughput.py [--quick] [--json FILE]

Rows a second, without the start of the engine. Ours: prompts are built, asked in a Ray actor, answers made durable and
read as labels. Bare: a list of prompts in, a list of texts out. Also: one prompt at a time, as some tools ask; without
prefix caching; and with answers constrained by a grammar. The model is a random one of 4 million weights, so what is
measured is the work around it; answers all have the same length, but for constrained ones, which end when they are
complete. Each arm has an engine and a process of its own; arms take turns.
"""

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from common import Claims, arguments

from mckd_ray.config import ResourcesConfig, TeacherConfig, TeacherResources
from mckd_ray.corpora.builtin import general_rows
from mckd_ray.records import Example, TrainingRow, write_rows
from mckd_ray.runner.asking import PromptedTeacher
from mckd_ray.runner.progress import ProgressWriter
from mckd_ray.runner.prompting import Questions, ask
from mckd_ray.runner.session import session
from mckd_ray.storage import place_at
from mckd_ray.student.pieces import train_tokenizer
from mckd_ray.tasks import TASKS
from mckd_ray.teacher.answers import AnswerBook

TASK = TASKS["constituency"]
SHOTS, NEW_TOKENS, CONTEXT = 4, 32, 2048
TARGET = 0.95
RAY_NICENESS = 15
"""That of Ray's workers; the bare engine gets the same, so that what else runs on the machine slows both alike."""
Rows = Sequence[tuple[Example, str]]


def save_model(folder: Path, texts: Sequence[str]) -> Path:
    """A random Llama of 4 million weights, with a tokenizer for `texts`."""
    tokenizer = train_tokenizer(texts, 4000)
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4,
        max_position_embeddings=CONTEXT, pad_token_id=0, eos_token_id=1, bos_token_id=None, tie_word_embeddings=True,
    )  # fmt: skip
    model: Any = transformers.LlamaForCausalLM
    model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def teacher(folder: Path, labelled: Path, **settings: Any) -> PromptedTeacher:
    """Our teacher on the model in `folder`; greedy."""
    resources = TeacherResources(prefix_caching=settings.pop("prefix_caching", True))
    config = TeacherConfig(
        engine="vllm", model=str(folder), dtype="float32", shots=SHOTS, **{"max_new_tokens": NEW_TOKENS, **settings}
    )
    return PromptedTeacher(config, resources, TASK.name, place_at(labelled), place_at(labelled), None)


def ours(asked: PromptedTeacher, examples: Sequence[Example]) -> tuple[float, float]:
    """Rows and tokens a second of our labelling."""
    with tempfile.TemporaryDirectory() as folder, session(ResourcesConfig(teacher=asked.resources), asking=True):
        place = place_at(folder)
        progress = ProgressWriter(place, len(examples))
        facts = ask(asked, examples, AnswerBook(place / "answers"), progress).facts["teacher"]
    return len(examples) / facts["seconds"], facts["tokens_out_per_second"]


def _generate(model: str, prompts: Sequence[str], at_once: int, pipe: Any) -> None:
    os.nice(RAY_NICENESS)
    from mckd_ray.teacher.vllm_engine import CPU_ENVIRONMENT

    os.environ.update(CPU_ENVIRONMENT if not torch.cuda.is_available() else {})
    from vllm import LLM, SamplingParams

    eager = not torch.cuda.is_available()
    engine = LLM(model, dtype="float32", enable_prefix_caching=True, enforce_eager=eager, seed=1)
    sampling = SamplingParams(temperature=0, max_tokens=NEW_TOKENS, logprobs=0, stop=["\n"], seed=1)
    started = time.perf_counter()
    for start in range(0, len(prompts), at_once):
        engine.generate(prompts[start : start + at_once], sampling, use_tqdm=False)
    pipe.send(len(prompts) / (time.perf_counter() - started))


def bare(model: Path, prompts: Sequence[str], at_once: int) -> float:
    """Rows a second of `LLM.generate`, called with so many prompts at once, in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_generate, args=(str(model), prompts, at_once, theirs)
    )
    process.start()
    rate: float = ours.recv()
    process.join()
    return rate


def main() -> int:
    """Measure each arm; 0 if ours keeps up with the bare engine."""
    options = arguments("Throughput of a vLLM teacher.").parse_args()
    repeats, single = ({300: 1}, 20) if options.quick else ({1000: 3, 4000: 1}, 100)
    os.environ["OMP_NUM_THREADS"] = "1"  # For the processes of both sides.
    claims = Claims("teacher_throughput")
    rows = [TASK.read(row) for row in general_rows(TASK.name, max(repeats) + 100, seed=5)]
    labelled = [TrainingRow(one.id, one.tokens, one.text, str(gold)) for one, gold in rows[:50]]
    examples = [example for example, _ in rows[50:]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "labelled.parquet", TrainingRow, labelled)
        model = save_model(folder / "model", [f"{example.source} {gold}" for example, gold in rows])
        plain = teacher(model, folder / "labelled.parquet")
        asked = Questions(plain)
        prompts = [asked.prompts.text(request.example, request.shots) for request in asked.of(examples)]
        for size, times in repeats.items():
            ratios = []
            for _ in range(times):
                without = bare(model, prompts[:size], size)
                with_ours = ours(plain, examples[:size])[0]
                ratios.append(with_ours / without)
                print(f"{size} prompts: bare {without:.1f} rows/s, ours {with_ours:.1f} rows/s", flush=True)
            claims.add(f"ours over bare, {size} prompts", statistics.median(ratios), ">=", TARGET, "x")
        size = min(repeats)
        reference, speed = ours(plain, examples[:size])
        alone = bare(model, prompts[:single], 1)
        claims.add("ours over one prompt at a time", reference / alone, ">=", 2, "x")
        uncached = ours(teacher(model, folder / "labelled.parquet", prefix_caching=False), examples[:size])[0]
        claims.add(f"prefix caching on over off, {size} prompts", reference / uncached, ">=", 1, "x")
        grammar = teacher(model, folder / "labelled.parquet", constrain="grammar", max_new_tokens=512)
        constrained = ours(grammar, examples[:size])[1]
        claims.add("tokens/s with a grammar over without", constrained / speed, ">=", 0.2, "x")
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
