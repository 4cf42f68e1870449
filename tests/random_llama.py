"""A tiny random language model of Llama's kind, saved as a checkpoint, and what to ask it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import transformers

from mckd_ray.records import Example
from mckd_ray.student.pieces import train_tokenizer
from mckd_ray.tasks.prompts import Shot

SHOTS: list[Shot] = [
    (Example("a", ("the", "cat", "sleeps")), "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"),
    (Example("b", ("dogs", "bark")), "(S (NP (NNS dogs)) (VP (VBP bark)))"),
]
TEXTS = [f"Sentence: {example.source} Tree: {target}" for example, target in SHOTS]
EXAMPLES = [Example("q", ("a", "dog", "barks", ".")), Example("r", ("cats",)), Example("s", ("the", "cats") * 5)]


def save_random_llama(path: Path, context: int = 400, texts: Iterable[str] = TEXTS, vocabulary: int = 400) -> Path:
    """Save the model, with a context of so many pieces and a tokenizer for `texts`, into `path`, and return it."""
    tokenizer = train_tokenizer(texts, vocabulary)
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=context, pad_token_id=0, eos_token_id=1, bos_token_id=None, initializer_range=0.5,
    )  # fmt: skip
    model: Any = transformers.LlamaForCausalLM
    model(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
