"""The `vllm` engine: any causal language model that vLLM serves, in this process, with many requests in flight."""

import importlib.util
import math
import os
import time
from collections.abc import Sequence
from typing import Any

from mckd_ray.errors import DataError, ModelError
from mckd_ray.records import Answer
from mckd_ray.teacher import EngineOrder
from mckd_ray.teacher.constraints import BACKEND, Constraint
from mckd_ray.teacher.engine import Engine, Request

QUEUE = 2
"""Requests in flight for each that the engine computes at once: so that the next ones are there when some end."""
# Without a GPU: the engine in this process (one of its own takes 28 s to start instead of 3), nothing compiled, and as
# many threads as OMP_NUM_THREADS says.
CPU_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "TORCHDYNAMO_DISABLE": "1",
}


class VllmEngine(Engine):
    """A vLLM engine."""

    def __init__(self, engine: Any, order: EngineOrder) -> None:
        """`engine`: a `vllm.LLMEngine`."""
        import torch
        import vllm
        from vllm.sampling_params import RequestOutputKind

        config, self._prompts = order.config, order.prompts
        self._engine = engine
        self._fitted = order.fitted(engine.get_tokenizer(), engine.model_config.max_model_len)
        self._constraint = constraint_of(order, engine.get_tokenizer())
        self._sampling: dict[str, Any] = {
            "n": config.samples,
            "temperature": config.temperature,
            # Without a GPU, a request's own seed kills vLLM 0.32's engine; there, the engine's own seed must do.
            "seed": config.seed if torch.cuda.is_available() else None,
            "max_tokens": config.max_new_tokens,
            "logprobs": 0,
            "stop": None if self._fitted.chat else [order.prompts.stop],
            "output_kind": RequestOutputKind.FINAL_ONLY,
        }
        self._shots: dict[str, int] = {}
        self.name = f"vllm {vllm.__version__}"
        self.in_flight = QUEUE * engine.vllm_config.scheduler_config.max_num_seqs

    def work(self, requests: Sequence[Request], seconds: float) -> list[Answer]:
        """Step the engine for a slice of time."""
        end = time.monotonic() + seconds
        answers = [answer for request in requests if (answer := self._add(request)) is not None]
        while self._engine.has_unfinished_requests() and time.monotonic() < end:
            answers += [self._answer(output) for output in self._engine.step() if output.finished]
        return answers

    def _add(self, request: Request) -> Answer | None:
        """Hand a request to the engine; the answer to one that it can't take."""
        from vllm.inputs.engine import tokens_input

        pieces, shots = self._fitted.fit(request)
        if not self._fitted.fits(pieces):
            return self._fitted.too_long(request, pieces)
        try:
            self._engine.add_request(request.key, tokens_input(pieces), self._how(request))
        except (ValueError, DataError) as error:
            return Answer(request.key, failure=f"vLLM refused the request: {error}")
        self._shots[request.key] = shots
        return None

    def _how(self, request: Request) -> Any:
        """How the answer to a request is written."""
        from vllm.sampling_params import SamplingParams, StructuredOutputsParams

        if self._constraint is None:
            return SamplingParams(**self._sampling)
        constraint: dict[str, Any] = {**self._constraint.structured(request.example)}
        return SamplingParams(**self._sampling, structured_outputs=StructuredOutputsParams(**constraint))

    def _answer(self, output: Any) -> Answer:
        samples = output.outputs
        texts = [sample.text.strip() if self._fitted.chat else self._prompts.answer(sample.text) for sample in samples]
        return Answer(
            output.request_id,
            tuple(texts),
            tuple(
                sample.cumulative_logprob / len(sample.token_ids) if sample.token_ids else math.nan
                for sample in samples
            ),
            shots=self._shots.pop(output.request_id),
            tokens_in=len(output.prompt_token_ids),
            tokens_out=sum(len(sample.token_ids) for sample in samples),
            tokens_cached=output.num_cached_tokens or 0,
        )


def constraint_of(order: EngineOrder, tokenizer: Any) -> Constraint | None:
    """What constrains the answers to an order's prompts, if anything does. Raises ConfigError."""
    kind, prompts = order.config.constrain, order.prompts
    if kind == "none":
        return None
    return Constraint(kind, prompts.linearisation, prompts.inventory, forcing=tokenizer.tokenize("x") == ["x"])


def make(order: EngineOrder) -> Engine:
    """The model of the order in an engine. Raises ModelError if vLLM is missing or the model cannot be loaded."""
    if importlib.util.find_spec("vllm") is None:
        raise ModelError(
            "teacher.engine=vllm, but vLLM is not installed; run `make install` without a GPU, "
            "pip install '.[gpu]' with one, or set teacher.engine=transformers."
        )
    import torch

    on_gpu = torch.cuda.is_available()
    if order.resources.gpus and not on_gpu:
        raise ModelError(f"resources.teacher.gpus is {order.resources.gpus}, but no GPU is seen here; set it to 0.")
    if not on_gpu:
        os.environ.update(CPU_ENVIRONMENT)
    from vllm import EngineArgs, LLMEngine
    from vllm.config import StructuredOutputsConfig
    from vllm.usage.usage_lib import UsageContext

    config, resources = order.config, order.resources
    eager = not on_gpu if resources.enforce_eager is None else resources.enforce_eager
    try:
        arguments = EngineArgs(
            order.model,
            dtype=config.dtype,  # type: ignore[arg-type]
            quantization=config.quantization,
            max_model_len=config.max_model_len,  # type: ignore[arg-type]
            seed=config.seed,
            tensor_parallel_size=max(1, resources.gpus),
            gpu_memory_utilization=resources.gpu_memory_utilization,
            enforce_eager=eager,
            enable_prefix_caching=resources.prefix_caching,
            structured_outputs_config=StructuredOutputsConfig(backend=BACKEND),
            disable_log_stats=True,
        )
        # As `vllm.LLM` does: batches are sized for throughput.
        engine = LLMEngine.from_engine_args(arguments, usage_context=UsageContext.LLM_CLASS)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"teacher.model '{order.model}' can't be loaded by vLLM: {reason}") from error
    return VllmEngine(engine, order)
