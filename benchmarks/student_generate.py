"""How fast students generate, by kind, engine, batch and length, beside transformers' plain `model.generate`.

    python benchmarks/student_generate.py [--quick] [--json FILE]

Models have random weights, and every output the same number of pieces, so that all engines do the same work; inputs are
sentences of the built-in corpus. Constrained outputs are legal prefixes of linearisations.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import torch
import transformers
from common import Claims, arguments, machine

from mckd_ray import corpora
from mckd_ray.config import CorpusConfig, ScratchConfig
from mckd_ray.records import Example
from mckd_ray.student.automaton import Automaton
from mckd_ray.student.causal_text import PromptPieces, scratch_tokenizer
from mckd_ray.student.generation import Decoder, DecoderOnly, EncoderDecoder, write
from mckd_ray.student.guides import FreeGuide, Guide, LegalGuide
from mckd_ray.student.pieces import Pieces, train_tokenizer
from mckd_ray.student.seq2seq import small_t5
from mckd_ray.student.sequences import structural_symbols
from mckd_ray.student.writers import Tries
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.prompt_form import prompt_form

SMALL = ScratchConfig(width=128, layers=2, heads=4, vocabulary=2000)
MIDDLE = ScratchConfig(width=256, layers=4, heads=4, vocabulary=4000)
COST = 0.2
"""What a constraint may cost over free generation at a batch of 64."""
REPEATS = 5


@dataclass(frozen=True)
class Setting:
    """A student, and how much it writes at once."""

    kind: str
    size: ScratchConfig
    linearisation: str
    batch: int
    length: int


def settings(quick: bool) -> Iterator[Setting]:
    """What is measured."""
    for kind, size in (("seq2seq", SMALL), ("seq2seq", MIDDLE), ("causal", SMALL)):
        for linearisation in ("words", "tags" if kind == "seq2seq" else "interleaved"):
            for batch in (64,) if quick else (8, 64, 128):
                for length in (16,) if quick else (16, 64):
                    yield Setting(kind, size, linearisation, batch, length)


@dataclass(frozen=True)
class Student:
    """A student of random weights, and inputs that are long enough for it to write on."""

    setting: Setting
    model: Any
    pieces: Pieces
    examples: Sequence[Example]
    inventory: Any

    @property
    def sources(self) -> list[list[int]]:
        """The inputs in pieces."""
        return [self.pieces.source(example.source) for example in self.examples]

    def decoder(self) -> Decoder:
        """Our loop over the model."""
        kind = EncoderDecoder if self.setting.kind == "seq2seq" else DecoderOnly
        return kind(self.model, self.sources, self.pieces)

    def free(self) -> Guide:
        """Any pieces."""
        never = np.zeros(self.model.get_output_embeddings().weight.shape[0], np.bool_)
        return FreeGuide(len(self.examples), self.setting.length, self.pieces, never)

    def legal(self, automaton: Automaton, tries: Tries) -> Guide:
        """Legal pieces."""
        linearisation = TASKS["constituency"].linearisations[self.setting.linearisation]
        languages = [linearisation.legal(example, self.inventory) for example in self.examples]
        return LegalGuide([legal for legal in languages if legal], self.setting.length, automaton, tries)


def student(setting: Setting) -> Student:
    """A student for the setting."""
    corpus = corpora.load(CorpusConfig(format="builtin", labelled=500, pool=3000, dev=1, test=1), TASKS["constituency"])
    longest = sorted(corpus.pool, key=lambda example: -len(example.tokens))
    examples = (longest * 2)[: setting.batch]
    linearisation = TASKS["constituency"].linearisations[setting.linearisation]
    gold = [(row.target, row.example) for row in corpus.labelled]
    inventory = linearisation.inventory(gold)
    texts = [linearisation.linearise(target, example) for target, example in gold]
    symbols = structural_symbols(texts, [example for _, example in gold])
    raw = [example.source for example in corpus.pool]
    torch.manual_seed(1)
    if setting.kind == "seq2seq":
        pieces = Pieces(train_tokenizer(raw, setting.size.vocabulary))
        pieces.add_symbols(symbols)
        model = small_t5(setting.size, pieces, 0.0)
    else:
        form = prompt_form(TASKS["constituency"], setting.linearisation, inventory)
        pieces = PromptPieces(scratch_tokenizer(raw, setting.size.vocabulary, form, symbols), form)
        config = transformers.LlamaConfig(
            vocab_size=len(pieces), hidden_size=setting.size.width, intermediate_size=2 * setting.size.width,
            num_hidden_layers=setting.size.layers, num_attention_heads=setting.size.heads, pad_token_id=pieces.pad,
            eos_token_id=pieces.end, bos_token_id=None, max_position_embeddings=1024,
        )  # fmt: skip
        llama: Any = transformers.LlamaForCausalLM
        model = llama(config)
    return Student(setting, model.eval(), pieces, examples, inventory)


def ways(one: Student, folder: Path) -> dict[str, Callable[[], object]]:
    """All ways in which the student can write its outputs."""
    tries = Tries(one.pieces)
    automaton = Automaton(tries)
    found: dict[str, Callable[[], object]] = {
        "model.generate": lambda: generate(one),
        "torch free": lambda: write(one.decoder(), one.free()),
        "torch constrained": lambda: write(one.decoder(), one.legal(automaton, tries)),
        "torch constrained, first time": lambda: write(one.decoder(), one.legal(Automaton(tries), tries)),
    }
    if one.setting.kind == "seq2seq":
        one.model.save_pretrained(folder / "model")
        one.pieces.tokenizer.save_pretrained(folder / "model")
        for precision in ("float32", "int8"):
            converter = ctranslate2.converters.TransformersConverter(str(folder / "model"))
            converter.convert(str(folder / precision), quantization=precision)
            translator = ctranslate2.Translator(
                str(folder / precision), compute_type=precision, intra_threads=torch.get_num_threads()
            )
            found[f"ctranslate2 {precision} free"] = partial(translate, one, translator)
    return found


def generate(one: Student) -> object:
    """Transformers' own generation."""
    sources, pad = one.sources, one.pieces.pad
    width = max(map(len, sources))
    left = one.setting.kind == "causal"
    fill = [[pad] * (width - len(source)) for source in sources]
    ids = [gap + source if left else source + gap for source, gap in zip(sources, fill, strict=True)]
    mask = [[int(piece != pad) for piece in row] for row in ids]
    with torch.inference_mode():
        return one.model.generate(
            torch.tensor(ids), attention_mask=torch.tensor(mask), do_sample=False,
            min_new_tokens=one.setting.length, max_new_tokens=one.setting.length,
        )  # fmt: skip


def translate(one: Student, translator: Any) -> object:
    """CTranslate2's generation."""
    sources = [one.pieces.tokenizer.convert_ids_to_tokens(source) for source in one.sources]
    length = one.setting.length
    return translator.translate_batch(
        sources, beam_size=1, min_decoding_length=length, max_decoding_length=length, return_scores=True
    )


def measure(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median CPU seconds of each way, on one thread; they take turns, so that what else runs hits all alike."""
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, way in ways.items():
            start = time.process_time()
            way()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> int:
    """Measure all settings; 0 if a constraint costs no more than it may."""
    options = arguments("Speed of generation by students.").parse_args()
    torch.set_num_threads(1)
    logging: Any = transformers.utils.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, 1 used; {facts['versions']}\n")
    print(
        "| kind | width, layers | linearisation | batch | pieces | way | pieces/s | outputs/s | model.generate's time |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    claims = Claims("student_generate")
    costs: dict[str, list[float]] = {}
    for setting in settings(options.quick):
        with tempfile.TemporaryDirectory() as name:
            seconds = measure(ways(student(setting), Path(name)))
        for way, taken in seconds.items():
            print(
                f"| {setting.kind} | {setting.size.width}, {setting.size.layers} | {setting.linearisation} "
                f"| {setting.batch} | {setting.length} | {way} | {setting.batch * setting.length / taken:.0f} "
                f"| {setting.batch / taken:.1f} | {taken / seconds['model.generate']:.2f} |",
                flush=True,
            )
        if setting.batch == 64:
            cost = seconds["torch constrained"] / seconds["torch free"] - 1
            costs.setdefault(f"{setting.kind}, {setting.linearisation}, width {setting.size.width}", []).append(cost)
    print()
    for name, values in costs.items():
        claims.add(f"constraint over free generation, {name}", max(values), "<=", COST, "")
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
