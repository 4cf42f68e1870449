"""Loading models of transformers by hub name or folder: safetensors only, and no code from the hub."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import safetensors
import torch
import transformers

from mckd_ray.errors import ModelError
from mckd_ray.student.quiet import quiet


@contextlib.contextmanager
def loading(name: str, what: str, give: str) -> Iterator[None]:
    """Without transformers' notes. Raises ModelError where `name` isn't `what`, which says what to `give` instead."""
    try:
        with quiet():
            yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, safetensors.SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{name} can't be loaded as {what}: {reason} Give {give}.") from error


def load_model(auto: Any, name: str, dropout: float | None, dropout_keys: Sequence[str]) -> tuple[Any, Any]:
    """The tokenizer and model, as one of transformers' `auto` classes, in single precision.

    `dropout` takes the place of the model's own, under the first of `dropout_keys` that its config has.
    """
    config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
    key = next((key for key in dropout_keys if hasattr(config, key)), None)
    if dropout is not None and key is not None:
        setattr(config, key, dropout)
    tokenizer = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    model = auto.from_pretrained(
        name, config=config, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
    )
    return tokenizer, model
