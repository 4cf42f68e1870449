"""A trained T5 as a labeller by CTranslate2: several times as fast as torch without a GPU.

It writes freely. Where that is what is legal for the input, it is also what a constrained student would have written:
of the pieces that are legal, the likeliest one is then the likeliest of all. Where it isn't, torch writes again.
"""

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from mckd_ray.errors import ModelError
from mckd_ray.records import Example, Label
from mckd_ray.student.base import Labeller
from mckd_ray.student.card import CONVERTED
from mckd_ray.student.pieces import Pieces
from mckd_ray.student.seq2seq_labeller import BATCH_PIECES, Output, Settings, label_of, too_long
from mckd_ray.student.writers import LegalWriter, Tries

ARCHITECTURES = ("t5", "mt5", "umt5")
"""The `model_type`s of transformers whose outputs CTranslate2 starts and ends as they do."""


def obstacle(model_type: str, pieces: Pieces) -> str:
    """Why a student can't be converted, or not used here; empty if it can."""
    if importlib.util.find_spec("ctranslate2") is None:
        return "CTranslate2 is not installed: run `make install`, or `pip install ctranslate2`"
    if model_type not in ARCHITECTURES:
        return f"the model is of the type '{model_type}', and CTranslate2 is used for {', '.join(ARCHITECTURES)}"
    if pieces.tokenizer.unk_token is None:
        return "the model's tokenizer has no unk_token, which CTranslate2 needs"
    return ""


def converted(folder: Path, precision: str) -> Path:
    """The student in `folder` as CTranslate2 reads it, in a folder within; converted once. Raises ModelError."""
    import ctranslate2

    place = folder / f"{CONVERTED}{precision}"
    if place.exists():  # Then the folder need not be one that can be written to.
        return place
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{folder}: holds no safetensors, and nothing else is read.")
    unfinished = place.with_name(f".{place.name}.partial")
    try:
        with FileLock(place.with_name(f".{place.name}.lock")):
            if not place.exists():
                converter = ctranslate2.converters.TransformersConverter(str(folder))
                converter.convert(str(unfinished), quantization=precision, force=True)
                unfinished.replace(place)
    except (OSError, ValueError, RuntimeError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise ModelError(f"{folder}: can't be converted for CTranslate2: {error}; set engine torch.") from error
    return place


class CTranslate2Labeller(Labeller):
    """Labels by greedy generation in CTranslate2, and by torch where that is not legal."""

    def __init__(
        self,
        folder: Path,
        precision: str,
        pieces: Pieces,
        settings: Settings,
        second: Callable[[], Labeller],
    ) -> None:
        """`folder`: the student; `precision`: float32 or int8; `second` loads it in torch, if that is needed."""
        import ctranslate2

        self._translator = ctranslate2.Translator(
            str(converted(folder, precision)),
            device="cuda" if torch.cuda.is_available() else "cpu",
            compute_type=precision,
            intra_threads=torch.get_num_threads(),
        )
        self._pieces, self._settings, self._tries, self._load_second = pieces, settings, Tries(pieces), second
        self.engine = f"ctranslate2 {ctranslate2.__version__} {precision}"

    @cached_property
    def _second(self) -> Labeller:
        return self._load_second()

    def label(self, examples: Sequence[Example]) -> list[Label]:
        """One label for each example, in order. An input that is too long is a failed row."""
        sources = [self._pieces.source(example.source) for example in examples]
        fitting = [place for place, source in enumerate(sources) if len(source) <= self._settings.max_source]
        outputs = dict(zip(fitting, self._write([sources[place] for place in fitting]), strict=True))
        read = {place: self._read(examples[place], *outputs[place]) for place in fitting}
        again = [place for place, output in read.items() if output is None]
        labels = (
            dict(zip(again, self._second.label([examples[place] for place in again]), strict=True)) if again else {}
        )
        for place, output in read.items():
            if output is not None:
                labels[place] = label_of(examples[place], output, self._settings)
        return [
            labels[place] if place in labels else too_long(examples[place], len(sources[place]), self._settings)
            for place in range(len(examples))
        ]

    def _write(self, sources: Sequence[Sequence[int]]) -> list[tuple[list[int], float]]:
        """The pieces of each output, with the end where the model wrote one, and their mean log-probability."""
        if not sources:
            return []
        tokenizer = self._pieces.tokenizer
        results: Any = self._translator.translate_batch(
            [tokenizer.convert_ids_to_tokens(source) for source in sources],
            beam_size=1,
            max_batch_size=BATCH_PIECES,
            batch_type="tokens",
            max_input_length=0,
            max_decoding_length=self._settings.max_target,
            return_scores=True,
            return_end_token=True,
        )
        return [(tokenizer.convert_tokens_to_ids(result.hypotheses[0]), result.scores[0]) for result in results]

    def _read(self, example: Example, ids: Sequence[int], score: float) -> Output | None:
        """What the model wrote; None if it is not what a constrained student would have written."""
        legal = self._settings.legal(example)
        if legal is None:
            return Output(self._pieces.decode(ids), ids[-1:] == [self._pieces.end], score)
        writer = LegalWriter(legal, self._tries, self._settings.max_target)
        for piece in ids:
            if not writer.allows(piece):
                return None
            writer.take(piece)
        return Output(writer.text, True, score) if writer.ended else None
