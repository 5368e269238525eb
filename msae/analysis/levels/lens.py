"""What the model would say with only the levels up to g put back: the loss and the first choice at every token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.activations.source import ContextBatch, PatchableSource, rows_kept
from msae.analysis.interventions.patching import put_row, put_rows, recorded
from msae.analysis.levels.next_token import counts
from msae.analysis.sample.pairing import evaluating, shared_hook
from msae.core.errors import EvaluationError
from msae.data.documents import string_documents
from msae.sae.autoencoder import SparseAutoencoder


@dataclass(frozen=True, kw_only=True)
class LevelLens:
    """A text's next tokens as a model sees them, in views: the activations replaced by the decoder's bias alone, by the
    reconstruction of every level, and untouched.

    Each is made *at* a token, of the one that follows: `loss` is −log p(next token) in nats, NaN where none follows in
    the same context; `choice` is the token of the largest logit; `following` is the token that follows, −1 for none.
    """

    loss: Float[np.ndarray, "views tokens"]
    choice: Int[np.ndarray, "views tokens"]
    following: Int[np.ndarray, " tokens"]


@torch.no_grad()
def level_lens(source: PatchableSource, sae: SparseAutoencoder, text: str, *, force: bool = False) -> LevelLens:
    """Run `text` through the model once a view, cut into contexts as for a store; special tokens are left out.

    Raises `EvaluationError` for a model without a language head or a text without a token, `MismatchError` when the
    SAE was trained on another source (with `force`, warns).
    """
    hook = shared_hook(sae, source, force=force)
    if not source.has_language_head:
        raise EvaluationError("the model predicts no next token: there is no lens on its levels")
    losses, choices, following = [], [], []
    with evaluating(sae):
        for batch in source.contexts(string_documents([text])):
            for place in range(len(batch)):  # one context at a time: a large vocabulary's logits are large
                part = batch.select(torch.tensor([place]))
                if not part.keep.any():
                    continue
                told = counts(part)[part.keep]
                next_ids = part.token_ids.roll(-1, dims=1)[part.keep]
                views = [_seen(logits, part, told, next_ids) for logits in _views(source, sae, hook, part)]
                losses.append(np.stack([loss for loss, _ in views]))
                choices.append(np.stack([choice for _, choice in views]))
                following.append(torch.where(told, next_ids, -1).numpy())
    if not losses:
        raise EvaluationError(f"the text {text!r} has no token: type some")
    return LevelLens(
        loss=np.concatenate(losses, axis=1),
        choice=np.concatenate(choices, axis=1),
        following=np.concatenate(following),
    )


def _views(
    source: PatchableSource, sae: SparseAutoencoder, hook: str, batch: ContextBatch
) -> Iterator[Float[Tensor, "batch context vocab"]]:
    untouched, seen = recorded(source, batch, (hook,))
    x = rows_kept(batch, seen[hook]).to(sae.device, sae.dtype)
    codes = sae.encode(x)
    yield source.logits(batch, {hook: put_row(sae.b_dec)})
    for x_hat in sae.decode_levels(codes):
        yield source.logits(batch, {hook: put_rows(x_hat)})
    yield untouched


def _seen(
    logits: Float[Tensor, "batch context vocab"],
    batch: ContextBatch,
    told: Tensor,
    next_ids: Tensor,
) -> tuple[np.ndarray, np.ndarray]:
    own = logits[batch.keep.to(logits.device)].float()
    loss = -own.log_softmax(dim=1).gather(1, next_ids.to(own.device)[:, None])[:, 0].cpu()
    return torch.where(told, loss, torch.nan).numpy(), own.argmax(dim=1).cpu().numpy()
