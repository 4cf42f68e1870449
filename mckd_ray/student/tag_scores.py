"""A tagger's logits by factor, and the losses of its two objectives."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mckd_ray.student.readers import Reader
from mckd_ray.student.tag_rows import IGNORED, Batch, Vocabularies
from mckd_ray.tasks.base import Factor


def factor_logits(
    model: nn.Module, batch: Batch, factors: Sequence[Factor], vocabularies: Vocabularies
) -> dict[str, Tensor]:
    """The logits of each factor: (B, T, V) for tokens; for the sentence their mean over its tokens, (B, V)."""
    logits: Tensor = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.float()
    places = batch["first"][..., None].expand(-1, -1, logits.shape[-1])
    sizes = [len(vocabularies[factor.name]) for factor in factors]
    parts = torch.split(logits.gather(1, places), sizes, dim=-1)
    words = batch["words"][..., None]
    return {
        factor.name: part if factor.scope == "token" else (part * words).sum(dim=1) / words.sum(dim=1)
        for factor, part in zip(factors, parts, strict=True)
    }


def tag_loss(logits: Mapping[str, Tensor], batch: Batch, factors: Sequence[Factor]) -> Tensor:
    """The sum over factors of the mean cross-entropy; each row counts by its weight."""
    token = iter(batch["tags"].unbind(dim=-1))
    whole = iter(batch["whole"].unbind(dim=-1))
    loss = batch["weight"].new_zeros(())
    for factor in factors:
        of_token = factor.scope == "token"
        wanted = next(token) if of_token else next(whole)
        weight = batch["weight"][:, None] * batch["words"] if of_token else batch["weight"]
        part = logits[factor.name].flatten(0, -2)
        each = functional.cross_entropy(part, wanted.flatten(), ignore_index=IGNORED, reduction="none")
        loss = loss + (each * weight.flatten()).sum() / weight.sum()
    return loss


def masked_loss(model: nn.Module, batch: Batch, reader: Reader, share: float) -> Tensor:
    """The loss of restoring a random `share` of the words or pieces; a masked word's features are masked with it."""
    ids = batch["input_ids"]
    target = ids[..., 0] if ids.dim() == 3 else ids
    chosen = torch.rand(target.shape, device=ids.device) < share
    chosen &= ~torch.isin(target, torch.tensor(sorted(reader.unmaskable), device=ids.device))
    shown = torch.where(chosen[..., None] if ids.dim() == 3 else chosen, reader.mask(), ids)
    labels = torch.where(chosen, target, IGNORED)
    loss: Tensor = model(input_ids=shown, attention_mask=batch["attention_mask"], labels=labels).loss
    return loss
