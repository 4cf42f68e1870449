"""The models of taggers: from scratch, from the hub or a folder, or from a checkpoint of ours."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from mckd_ray.config import ScratchConfig
from mckd_ray.errors import ConfigError, ModelError, nearest
from mckd_ray.student.card import Card
from mckd_ray.student.features import WordFeatures
from mckd_ray.student.pretrained import loading
from mckd_ray.student.readers import PIECES_LIMIT, PieceReader, Reader, WordReader, learn_pieces
from mckd_ray.student.tag_rows import Vocabularies
from mckd_ray.student.word_encoder import WordEncoderConfig

OURS = "words"
ENCODERS = (OURS, "bert", "distilbert", "electra", "roberta")
"""What a student from scratch may be. A hub name or folder may hold any encoder that transformers has."""
Tokens = Sequence[Sequence[str]]


@dataclass(frozen=True)
class TagCard(Card):
    """What `student.json` says of a tagger."""

    objective: str
    encoder: str
    factors: dict[str, list[str]]

    @property
    def vocabularies(self) -> Vocabularies:
        """The values of each factor, in the order of the logits."""
        return {name: tuple(values) for name, values in self.factors.items()}


def reader_of(name: str, encoder: str = "") -> Reader:
    """The reader of the model in the folder or hub repository `name`. Raises ModelError."""
    if encoder == OURS:
        return WordReader(WordFeatures.load(Path(name)))
    with _loading(name):
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, use_fast=True, add_prefix_space=True)
        config = transformers.AutoConfig.from_pretrained(name)
    if not isinstance(tokenizer, transformers.PreTrainedTokenizerFast) or tokenizer.pad_token_id is None:
        raise ModelError(f"{name}: a tagger needs a fast tokenizer with a padding token; this model has none.")
    positions = int(getattr(config, "max_position_embeddings", PIECES_LIMIT))
    return PieceReader(tokenizer, min(positions, tokenizer.model_max_length))


def scratch_reader(scratch: ScratchConfig, texts: Tokens) -> Reader:
    """A reader whose vocabulary is learned from the tokens of raw text. Raises ConfigError for an unknown encoder."""
    if scratch.encoder == OURS:
        return WordReader(WordFeatures.learn(texts, scratch.vocabulary))
    if scratch.encoder not in ENCODERS:
        hint = nearest(scratch.encoder, ENCODERS)
        raise ConfigError(f"student.scratch.encoder={scratch.encoder} is not an encoder for a tagger.{hint}")
    return PieceReader(learn_pieces(texts, scratch.vocabulary), PIECES_LIMIT)


def scratch_model(scratch: ScratchConfig, reader: Reader, labels: int) -> nn.Module:
    """A model with random weights: with `labels` logits a token, or, for 0 labels, to restore masked words."""
    sizes = {
        "hidden_size": scratch.width,
        "num_hidden_layers": scratch.layers,
        "num_attention_heads": scratch.heads,
        "intermediate_size": 4 * scratch.width,
        "num_labels": max(labels, 1),
    }
    if scratch.width % scratch.heads:
        raise ConfigError(f"student.scratch: heads={scratch.heads} does not divide width={scratch.width}.")
    encoder = WordEncoderConfig.model_type if scratch.encoder == OURS else scratch.encoder
    config = transformers.AutoConfig.for_model(encoder, **sizes, **reader.sizes())
    model: nn.Module = _auto(labels).from_config(config)
    return model


def pretrained_model(name: str, labels: int) -> nn.Module:
    """The encoder in the folder or hub repository `name` with a fresh head; see `scratch_model`. Raises ModelError."""
    with _loading(name):
        model: nn.Module = _auto(labels).from_pretrained(
            name, num_labels=max(labels, 1), use_safetensors=True, ignore_mismatched_sizes=True
        )
    return model


def extend_head(model: nn.Module, folder: Path, old: Vocabularies, new: Vocabularies) -> None:
    """Give `model`'s fresh head the rows that the head in `folder` has for the values of `old`, a part of `new`."""
    with _loading(str(folder)):
        trained = transformers.AutoModelForTokenClassification.from_pretrained(folder, use_safetensors=True)
    source = _head(trained, sum(map(len, old.values())))
    target = _head(model, sum(map(len, new.values())))
    with torch.no_grad():
        start, old_start = 0, 0
        for name, values in new.items():
            known = len(old[name])
            target.weight[start : start + known] = source.weight[old_start : old_start + known]
            target.bias[start : start + known] = source.bias[old_start : old_start + known]
            start, old_start = start + len(values), old_start + known


def set_dropout(model: nn.Module, share: float | None) -> None:
    """Let all dropout layers drop `share`; None leaves the model's own."""
    for module in model.modules():
        if isinstance(module, nn.Dropout) and share is not None:
            module.p = share


def _auto(labels: int) -> Any:
    return transformers.AutoModelForTokenClassification if labels else transformers.AutoModelForMaskedLM


def _head(model: nn.Module, labels: int) -> nn.Linear:
    heads = [module for module in model.modules() if isinstance(module, nn.Linear) and module.out_features == labels]
    return heads[-1]


def _loading(name: str) -> contextlib.AbstractContextManager[None]:
    """Raises ModelError for what can't be loaded."""
    give = "`scratch`, a hub name or a folder with config.json, model.safetensors and a tokenizer"
    return loading(f"'{name}'", "a tagger", give)
