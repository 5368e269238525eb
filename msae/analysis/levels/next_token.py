"""Next-token cross-entropy and KL on packed contexts, with one rule for which predictions count.

The prediction made at position i (of the token at i + 1) counts when both positions belong to the same document. So
neither BOS, padding nor another special token makes or is the target of a prediction that counts, and a document's
first token is no target: what comes before it says nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.activations.source import ContextBatch

CHUNK_NUMBERS = 1 << 22


def counts(batch: ContextBatch) -> Bool[Tensor, "batch context"]:
    """True at the positions whose prediction of the next token counts; False at every context's last."""
    document = batch.document
    same = (document[:, :-1] >= 0) & (document[:, :-1] == document[:, 1:])
    return torch.nn.functional.pad(same, (0, 1))


class Predictions:
    """A model's own predictions on one batch, against which those of the same model with a hook replaced are held."""

    def __init__(self, batch: ContextBatch, logits: Float[Tensor, "batch context vocab"]) -> None:
        self._asked = _Asked(batch, logits.device)
        self._log_p = torch.empty(len(self._asked), logits.shape[-1], device=logits.device)
        for rows, log_p in self._asked.log_probabilities(logits):
            self._log_p[rows] = log_p

    def __len__(self) -> int:
        return len(self._asked)

    def cross_entropy(self) -> float:
        """Σ over predictions of −log p(next token), in nats."""
        return _surprise(self._log_p, self._asked.target)

    def compare(self, logits: Float[Tensor, "batch context vocab"]) -> tuple[float, float]:
        """Σ of −log q(next token) and Σ of KL(p ‖ q), q another model's logits, in nats; log-softmax in float32."""
        surprise = divergence = 0.0
        for rows, log_q in self._asked.log_probabilities(logits):
            surprise += _surprise(log_q, self._asked.target[rows])
            kl = torch.nn.functional.kl_div(log_q, self._log_p[rows], reduction="none", log_target=True)
            divergence += kl.sum(dim=1).sum(dtype=torch.float64).item()
        return surprise, divergence


def cross_entropy(batch: ContextBatch, logits: Float[Tensor, "batch context vocab"]) -> float:
    """Σ over the predictions that count of −log p(next token), in nats; log-softmax in float32."""
    asked = _Asked(batch, logits.device)
    return sum((_surprise(log_p, asked.target[rows]) for rows, log_p in asked.log_probabilities(logits)), 0.0)


class _Asked:
    """The predictions of a batch that count: where they are made, and the token that does follow."""

    def __init__(self, batch: ContextBatch, device: torch.device) -> None:
        where = counts(batch).flatten()
        following = batch.token_ids.roll(-1, dims=1).flatten()
        self.position = where.nonzero()[:, 0].to(device)
        self.target = following[where].to(device)

    def __len__(self) -> int:
        return self.target.numel()

    def log_probabilities(
        self, logits: Float[Tensor, "batch context vocab"]
    ) -> Iterator[tuple[slice, Float[Tensor, "chunk vocab"]]]:
        """The float32 log-softmax at every prediction, some at a time."""
        flat = logits.flatten(0, 1)
        size = max(1, CHUNK_NUMBERS // flat.shape[1])
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield rows, flat[self.position[rows]].float().log_softmax(dim=1)


def _surprise(log_p: Float[Tensor, "predictions vocab"], target: Int[Tensor, " predictions"]) -> float:
    return -log_p.gather(1, target[:, None]).sum(dtype=torch.float64).item()
