"""The `transformers` engine: any causal language model, few-shot prompted, in this process."""

import math
from collections.abc import Sequence
from typing import Any

import safetensors
import torch
import transformers

from mckd_ray.errors import ModelError
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.student.answers import read_answer
from mckd_ray.student.base import Labeller
from mckd_ray.student.quiet import quiet
from mckd_ray.teacher import Commission
from mckd_ray.teacher.fitting import FittedPrompts
from mckd_ray.teacher.prompts import Prompts

BATCH = 16
"""Inputs that are generated for at once."""


class TransformersTeacher(Labeller):
    """Greedy answers of a causal language model.

    The confidence is the mean log-probability of the answer's pieces, without the end.
    """

    def __init__(self, model: Any, tokenizer: Any, prompts: Prompts, max_new_tokens: int) -> None:
        """`model`: a causal language model in evaluation mode."""
        self._model, self._tokenizer, self._prompts = model, tokenizer, prompts
        self._most = max_new_tokens
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        context = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
        self._fitted = FittedPrompts(prompts, tokenizer, context, max_new_tokens)

    def label(self, examples: Sequence[Example]) -> list[Label]:
        """One label for each example; prompts of like length are asked together."""
        prompts = [self._fitted.pieces(example) for example in examples]
        labels: dict[int, Label] = {}
        fitting = [index for index, prompt in enumerate(prompts) if self._fitted.fits(prompt)]
        fitting.sort(key=lambda index: len(prompts[index]))
        for start in range(0, len(fitting), BATCH):
            batch = fitting[start : start + BATCH]
            for index, (raw, score) in zip(batch, self._generate([prompts[index] for index in batch]), strict=True):
                labels[index] = self._label(examples[index], raw, score)
        return [labels.get(index) or self._too_long(example, prompts[index]) for index, example in enumerate(examples)]

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[Sequence[int]]) -> list[tuple[str, float]]:
        """Each prompt's answer, and its mean log-probability."""
        batch = self._tokenizer.pad({"input_ids": list(prompts)}, return_tensors="pt").to(self._model.device)
        plain = not self._fitted.chat
        recorder = _Recorder()
        # Only what is written to go on with a text ends with its line; a chat's answer ends by itself.
        stop = {"stop_strings": [self._prompts.stop], "tokenizer": self._tokenizer} if plain else {}
        output = self._model.generate(
            **batch,
            max_new_tokens=self._most,
            do_sample=False,
            pad_token_id=self._tokenizer.pad_token_id,
            logits_processor=transformers.LogitsProcessorList([recorder]),
            **stop,
        )
        written = output[:, batch["input_ids"].shape[1] :].tolist()
        answers = []
        for ids, scores in zip(written, recorder.by_row(), strict=True):
            length = next((at for at, piece in enumerate(ids) if piece in self._ends()), len(ids))
            raw = self._tokenizer.decode(ids[:length], skip_special_tokens=True).strip()
            score = sum(scores[:length]) / length if length else math.nan
            answers.append((self._prompts.answer(raw) if plain else raw, score))
        return answers

    def _ends(self) -> set[int]:
        ends = self._model.generation_config.eos_token_id
        more = ends if isinstance(ends, list) else [ends]
        return {
            piece for piece in (*more, self._tokenizer.eos_token_id, self._tokenizer.pad_token_id) if piece is not None
        }

    def _label(self, example: Example, raw: str, score: float) -> Label:
        target, outcome, reason = read_answer(raw, self._prompts.linearisation, example)
        return Label(example.id, target, raw, outcome, score, reason)

    def _too_long(self, example: Example, prompt: list[int]) -> Label:
        return Label(example.id, "", "", Outcome.FAILED, math.nan, self._fitted.too_long(prompt))


class _Recorder(transformers.LogitsProcessor):
    """Changes nothing; keeps the log-probability of each step's likeliest piece, which greedy generation takes."""

    def __init__(self) -> None:
        self._steps: list[list[float]] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        logits = scores.float()
        self._steps.append((logits.max(1).values - logits.logsumexp(1)).tolist())
        return scores

    def by_row(self) -> list[tuple[float, ...]]:
        """The log-probabilities of each row, step by step."""
        return list(zip(*self._steps, strict=True))


def make(commission: Commission) -> Labeller:
    """The model of the commission, on the GPU if there is one. Raises ModelError if it can't be loaded."""
    config = commission.config
    prompts = Prompts(commission.task, commission.shots, config.linearisation, config.instruction)
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(config.model, trust_remote_code=False)
            model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                config.model, use_safetensors=True, trust_remote_code=False, dtype="auto"
            )
    except (OSError, ValueError, KeyError, ImportError, safetensors.SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"teacher.model '{config.model}' can't be loaded as a causal language model: {reason} Give a hub name or a"
            " folder with safetensors and a tokenizer."
        ) from error
    # Only greedy generation: none of the sampling that a model's authors recommend.
    generation: Any = transformers.GenerationConfig
    model.generation_config = generation(eos_token_id=model.generation_config.eos_token_id, do_sample=False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TransformersTeacher(model.to(device).eval(), tokenizer, prompts, config.max_new_tokens)
