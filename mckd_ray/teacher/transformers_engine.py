"""The `transformers` engine: any causal language model, in this process, for machines without vLLM."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from mckd_ray.records import Answer
from mckd_ray.student.pretrained import loading
from mckd_ray.teacher import EngineOrder
from mckd_ray.teacher.engine import Engine, Request
from mckd_ray.teacher.fitting import FittedPrompts

BATCH = 16
"""Requests that are generated for at once."""
BATCHES_IN_FLIGHT = 16
"""So that prompts of like length can be asked together."""
Prompt = tuple[Request, list[int], int]
"""A request with its pieces and the number of its shots."""


class TransformersEngine(Engine):
    """Transformers' generation, batch after batch."""

    def __init__(self, model: Any, tokenizer: Any, order: EngineOrder) -> None:
        """`model`: a causal language model in evaluation mode."""
        self._model, self._tokenizer = model, tokenizer
        self._config, self._prompts = order.config, order.prompts
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        context = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
        self._fitted = FittedPrompts(order.prompts, tokenizer, context, order.config.max_new_tokens)
        self._waiting: list[Prompt] = []
        self.name = f"transformers {transformers.__version__}"
        self.in_flight = BATCH * BATCHES_IN_FLIGHT

    def work(self, requests: Sequence[Request], seconds: float) -> list[Answer]:
        """Generate for one batch, whatever time that takes: the shortest prompts in flight."""
        answers = []
        for request in requests:
            pieces, shots = self._fitted.fit(request)
            if self._fitted.fits(pieces):
                self._waiting.append((request, pieces, shots))
            else:
                answers.append(self._fitted.too_long(request, pieces))
        self._waiting.sort(key=lambda prompt: len(prompt[1]))
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        return answers + (self._generate(batch) if batch else [])

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """The answer to each prompt, with its mean log-probability, the end not counted."""
        config, samples = self._config, self._config.samples
        batch = self._tokenizer.pad({"input_ids": [pieces for _, pieces, _ in prompts]}, return_tensors="pt")
        plain = not self._fitted.chat
        # Only what is written to go on with a text ends with its line; a chat's answer ends by itself.
        stop = {"stop_strings": [self._prompts.stop], "tokenizer": self._tokenizer} if plain else {}
        how = {"do_sample": True, "temperature": config.temperature} if config.temperature else {"do_sample": False}
        torch.manual_seed(config.seed)
        output = self._model.generate(
            **batch.to(self._model.device),
            max_new_tokens=config.max_new_tokens,
            num_return_sequences=samples,
            pad_token_id=self._tokenizer.pad_token_id,
            return_dict_in_generate=True,
            output_logits=True,
            **how,
            **stop,
        )
        written = output.sequences[:, batch["input_ids"].shape[1] :]
        logprobs = self._logprobs(output.logits, written)
        ids = written.tolist()
        answers = []
        for place, (request, pieces, shots) in enumerate(prompts):
            rows = range(place * samples, (place + 1) * samples)
            lengths = [self._length(ids[row]) for row in rows]
            raw = [
                self._tokenizer.decode(ids[row][:length], skip_special_tokens=True).strip()
                for row, length in zip(rows, lengths, strict=True)
            ]
            answers.append(
                Answer(
                    request.key,
                    tuple(self._prompts.answer(text) if plain else text for text in raw),
                    tuple(
                        float(logprobs[row, :length].mean()) if length else math.nan
                        for row, length in zip(rows, lengths, strict=True)
                    ),
                    shots=shots,
                    tokens_in=len(pieces),
                    tokens_out=sum(lengths),
                )
            )
        return answers

    def _logprobs(self, logits: Sequence[torch.Tensor], written: torch.Tensor) -> torch.Tensor:
        """The log-probability of each written piece: (rows, steps)."""
        steps = [
            step.float().log_softmax(1).gather(1, written[:, place, None])[:, 0] for place, step in enumerate(logits)
        ]
        return torch.stack(steps, dim=1)

    def _length(self, ids: Sequence[int]) -> int:
        """How many pieces come before the end."""
        ends = self._model.generation_config.eos_token_id
        more = ends if isinstance(ends, list) else [ends]
        stops = {*more, self._tokenizer.eos_token_id, self._tokenizer.pad_token_id}
        return next((place for place, piece in enumerate(ids) if piece in stops), len(ids))


def make(order: EngineOrder) -> Engine:
    """The model of the order, on the GPU if there is one. Raises ModelError if it can't be loaded."""
    give = "a hub name or a folder with safetensors and a tokenizer"
    with loading(f"teacher.model '{order.model}'", "a causal language model", give):
        tokenizer = transformers.AutoTokenizer.from_pretrained(order.model, trust_remote_code=False)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            order.model, use_safetensors=True, trust_remote_code=False, dtype="auto"
        )
    # None of the sampling that a model's authors recommend.
    generation: Any = transformers.GenerationConfig
    model.generation_config = generation(eos_token_id=model.generation_config.eos_token_id, do_sample=False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TransformersEngine(model.to(device).eval(), tokenizer, order)
