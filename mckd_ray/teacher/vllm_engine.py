"""The `vllm` engine: any causal language model that vLLM serves, few-shot prompted, in this process."""

import importlib.util
import math
import os
from collections.abc import Sequence
from typing import Any

from mckd_ray.errors import ModelError
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.student.answers import read_answer
from mckd_ray.student.base import Labeller
from mckd_ray.teacher import Commission
from mckd_ray.teacher.fitting import FittedPrompts
from mckd_ray.teacher.prompts import Prompts

# Without a GPU: the engine in this process (a process of its own takes 28 s to start instead of 3), nothing compiled.
CPU_ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "TORCHDYNAMO_DISABLE": "1"}


class VllmTeacher(Labeller):
    """Greedy answers of a model in a vLLM engine; the confidence is the mean log-probability of an answer's pieces."""

    def __init__(self, engine: Any, prompts: Prompts, max_new_tokens: int) -> None:
        """`engine`: a `vllm.LLM`, with prefix caching, as all prompts begin with the same instruction and shots."""
        from vllm import SamplingParams

        self._engine, self._prompts = engine, prompts
        context = engine.llm_engine.model_config.max_model_len
        self._fitted = FittedPrompts(prompts, engine.get_tokenizer(), context, max_new_tokens)
        stop = None if self._fitted.chat else [prompts.stop]
        self._sampling = SamplingParams(temperature=0, max_tokens=max_new_tokens, logprobs=0, stop=stop)

    def label(self, examples: Sequence[Example]) -> list[Label]:
        """One label for each example; all prompts that fit are in flight at once."""
        prompts = [self._fitted.pieces(example) for example in examples]
        asked = [index for index, prompt in enumerate(prompts) if self._fitted.fits(prompt)]
        requests = [{"prompt_token_ids": prompts[index]} for index in asked]
        outputs = self._engine.generate(requests, self._sampling, use_tqdm=False) if requests else []
        answers = dict(zip(asked, (output.outputs[0] for output in outputs), strict=True))
        return [
            self._label(example, answers[index])
            if index in answers
            else Label(example.id, "", "", Outcome.FAILED, reason=self._fitted.too_long(prompts[index]))
            for index, example in enumerate(examples)
        ]

    def _label(self, example: Example, answer: Any) -> Label:
        raw = answer.text.strip() if self._fitted.chat else self._prompts.answer(answer.text)
        target, outcome, reason = read_answer(raw, self._prompts.linearisation, example)
        confidence = answer.cumulative_logprob / len(answer.token_ids) if answer.token_ids else math.nan
        return Label(example.id, target, raw, outcome, confidence, reason)


def make(commission: Commission) -> Labeller:
    """The model of the commission in an engine. Raises ModelError if vLLM is missing or the model cannot be loaded."""
    if importlib.util.find_spec("vllm") is None:
        raise ModelError(
            "teacher.engine=vllm, but vLLM is not installed; run `make install` without a GPU, "
            "pip install '.[gpu]' with one, or set teacher.engine=transformers."
        )
    import torch

    if not torch.cuda.is_available():
        os.environ.update(CPU_ENVIRONMENT)
    from vllm import LLM

    config = commission.config
    prompts = Prompts(commission.task, commission.shots, config.linearisation, config.instruction)
    try:
        engine = LLM(config.model, enable_prefix_caching=True, enforce_eager=not torch.cuda.is_available())
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"teacher.model '{config.model}' can't be loaded by vLLM: {reason}") from error
    return VllmTeacher(engine, prompts, config.max_new_tokens)
