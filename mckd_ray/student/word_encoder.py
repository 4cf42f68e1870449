"""Our small word-level encoder: features of words, a five-word window and a few transformer layers.

Students from scratch learn far more from words, affixes and a window than from a stock encoder over word pieces. The
models are registered with transformers, so that `AutoModelForTokenClassification.from_pretrained` loads them where this
module is imported.
"""

import math
from typing import Any, cast

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput, TokenClassifierOutput

from mckd_ray.student.features import FEATURES, UNKNOWN


class WordEncoderConfig(transformers.PretrainedConfig):  # type: ignore[no-untyped-call]
    """The sizes of a word encoder. `reach` is the distance in words beyond which all positions look alike."""

    model_type = "mckd-words"

    def __init__(
        self,
        words: int = 8003,
        affixes: int = 16003,
        hidden_size: int = 128,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 4,
        intermediate_size: int = 512,
        window: int = 5,
        reach: int = 16,
        dropout: float = 0.2,
        word_dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        self.words = words
        self.affixes = affixes
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.window = window
        self.reach = reach
        self.dropout = dropout
        self.word_dropout = word_dropout
        super().__init__(**kwargs)


class Dropout(nn.Dropout):
    """Dropout that draws four elements' fate from one random number on a CPU, where drawing is most of its time."""

    def forward(self, inputs: Tensor) -> Tensor:
        """As torch's, but for other random masks, and a share that is a multiple of 2**-16."""
        if not self.training or not self.p or inputs.is_cuda:
            return super().forward(inputs)
        draws = torch.empty(-(-inputs.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        drawn = draws.view(torch.int16)[: inputs.numel()].view(inputs.shape)
        kept = (drawn >= round(self.p * 2**16) - 2**15).to(inputs.dtype)
        return inputs * (kept / (1 - self.p))


class _PreTrained(transformers.PreTrainedModel):  # type: ignore[no-untyped-call]
    """How weights start: embeddings so that their sum has unit size, the rest as torch does."""

    config_class = WordEncoderConfig
    base_model_prefix = "encoder"

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=(1 + FEATURES) ** -0.5)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Linear | nn.Conv1d):
            bound = module.weight[0].numel() ** -0.5
            init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                init.zeros_(module.bias)


class WordEncoderModel(_PreTrained):  # type: ignore[no-untyped-call]
    """Ids of words and their features, (B, T, 1 + FEATURES), to (B, T, hidden_size)."""

    def __init__(self, config: WordEncoderConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.words = nn.Embedding(config.words, width)
        self.affixes = nn.Embedding(config.affixes, width)
        self.window = nn.Conv1d(width, width, config.window, padding=config.window // 2)
        self.distances = nn.Embedding(2 * config.reach + 1, config.num_attention_heads)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(config.dropout)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> BaseModelOutput:
        """`attention_mask` (B, T) is 1 at words and 0 at padding."""
        words = input_ids[..., 0]
        if self.training and self.config.word_dropout:
            dropped = torch.rand(words.shape, device=words.device) < self.config.word_dropout
            words = torch.where(dropped, UNKNOWN, words)
        inputs = self.words(words) + self.affixes(input_ids[..., 1:]).sum(dim=2)
        inputs = self.dropout(inputs) * attention_mask[..., None]
        hidden = inputs + functional.gelu(self.window(inputs.transpose(1, 2)).transpose(1, 2))
        bias = self._bias(attention_mask)
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return BaseModelOutput(last_hidden_state=self.dropout(self.norm(hidden)))

    def _bias(self, attention_mask: Tensor) -> Tensor:
        """What is added to attention scores, (B, heads, T, T): by distance, and minus infinity towards padding."""
        place = torch.arange(attention_mask.shape[1], device=attention_mask.device)
        reach = self.config.reach
        distance = (place[None, :] - place[:, None]).clamp(-reach, reach) + reach
        bias: Tensor = self.distances(distance).permute(2, 0, 1)[None]
        hidden = torch.zeros_like(attention_mask, dtype=bias.dtype).masked_fill(attention_mask == 0, -math.inf)
        return bias + hidden[:, None, None, :]


class _Layer(nn.Module):
    """A transformer layer with its norms before its two parts."""

    def __init__(self, config: WordEncoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.first_norm = nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.second_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, width)
        self.dropout = Dropout(config.dropout)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """(B, T, width) to the same shape."""
        batch, time, width = hidden.shape
        parts = self.mix(self.first_norm(hidden)).view(batch, time, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        hidden = hidden + self.dropout(self.out(mixed.transpose(1, 2).reshape(batch, time, width)))
        outcome: Tensor = hidden + self.dropout(self.down(functional.gelu(self.up(self.second_norm(hidden)))))
        return outcome


class WordEncoderForTokenClassification(_PreTrained):  # type: ignore[no-untyped-call]
    """A head a token: (B, T, num_labels) logits."""

    def __init__(self, config: WordEncoderConfig) -> None:
        super().__init__(config)
        self.encoder = WordEncoderModel(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels or 1)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> TokenClassifierOutput:
        """Shapes as in `WordEncoderModel.forward`."""
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return TokenClassifierOutput(logits=self.classifier(hidden))


class WordEncoderForMaskedLM(_PreTrained):  # type: ignore[no-untyped-call]
    """Restores masked words; the word embeddings are the output weights too."""

    def __init__(self, config: WordEncoderConfig) -> None:
        super().__init__(config)
        self.encoder = WordEncoderModel(config)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, **_: Any) -> MaskedLMOutput:
        """The loss over the places where `labels` (B, T), the words that stood there, are not -100."""
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        wanted = labels != -100
        logits = functional.linear(self.out(hidden[wanted]), self.encoder.words.weight)
        loss = functional.cross_entropy(logits, labels[wanted], reduction="sum") / wanted.sum().clamp(min=1)
        return MaskedLMOutput(loss=cast("torch.FloatTensor", loss))


transformers.AutoConfig.register(WordEncoderConfig.model_type, WordEncoderConfig)
transformers.AutoModelForTokenClassification.register(WordEncoderConfig, WordEncoderForTokenClassification)
transformers.AutoModelForMaskedLM.register(WordEncoderConfig, WordEncoderForMaskedLM)
