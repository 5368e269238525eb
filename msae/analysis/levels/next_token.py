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


def targets(batch: ContextBatch) -> Int[Tensor, " predictions"]:
    """The token that follows, of each prediction that counts."""
    return batch.token_ids.roll(-1, dims=1)[counts(batch)]


def unigram_cost(counted: Int[Tensor, " vocab"]) -> Float[Tensor, " vocab"]:
    """−log p of each token, p its share of those counted: what a guess without context pays for it, in nats."""
    return -torch.log((counted.double() / counted.sum().clamp_min(1)).clamp_min(1e-300))


def unigram_entropy(counted: Int[Tensor, " vocab"]) -> float:
    """The mean of the same over the tokens counted: a lower bound for every guess without context on these tokens."""
    return (counted.double() @ unigram_cost(counted) / counted.sum()).item()


class Predictions:
    """A model's own predictions on one batch, against which those of the same model with a hook replaced are held."""

    def __init__(self, batch: ContextBatch, logits: Float[Tensor, "batch context vocab"]) -> None:
        self._asked = _Asked(batch, logits.device)
        self._log_p = torch.empty(len(self._asked), logits.shape[-1], device=logits.device)
        for rows, log_p in self._asked.log_probabilities(logits):
            self._log_p[rows] = log_p

    def __len__(self) -> int:
        return len(self._asked)

    @property
    def document(self) -> Int[Tensor, " predictions"]:
        """The document that each prediction is made in."""
        return self._asked.document

    @property
    def target(self) -> Int[Tensor, " predictions"]:
        """The token that does follow."""
        return self._asked.target

    def cross_entropy(self) -> float:
        """Σ over predictions of −log p(next token), in nats."""
        return self.surprises().sum().item()

    def surprises(self) -> Float[Tensor, " predictions"]:
        """−log p(next token) of each, in nats, float64."""
        return _surprises(self._log_p, self._asked.target)

    def compare(self, logits: Float[Tensor, "batch context vocab"]) -> tuple[float, float]:
        """Σ of −log q(next token) and Σ of KL(p ‖ q), q another model's logits, in nats; log-softmax in float32."""
        surprise, divergence = self.compare_each(logits)
        return surprise.sum().item(), divergence.sum().item()

    def compare_each(
        self, logits: Float[Tensor, "batch context vocab"]
    ) -> tuple[Float[Tensor, " predictions"], Float[Tensor, " predictions"]]:
        """The same of each prediction, float64."""
        surprise, divergence = [], []
        for rows, log_q in self._asked.log_probabilities(logits):
            surprise.append(_surprises(log_q, self._asked.target[rows]))
            kl = torch.nn.functional.kl_div(log_q, self._log_p[rows], reduction="none", log_target=True)
            divergence.append(kl.sum(dim=1).double())
        return _joined(surprise, logits), _joined(divergence, logits)


def cross_entropy(batch: ContextBatch, logits: Float[Tensor, "batch context vocab"]) -> float:
    """Σ over the predictions that count of −log p(next token), in nats; log-softmax in float32."""
    return surprises(batch, logits)[0].sum().item()


def surprises(
    batch: ContextBatch, logits: Float[Tensor, "batch context vocab"]
) -> tuple[Float[Tensor, " predictions"], Int[Tensor, " predictions"]]:
    """−log p(next token) of each prediction that counts, in nats, float64, and the document it is made in."""
    asked = _Asked(batch, logits.device)
    each = [_surprises(log_p, asked.target[rows]) for rows, log_p in asked.log_probabilities(logits)]
    return _joined(each, logits), asked.document


class _Asked:
    """The predictions of a batch that count: where they are made, and the token that does follow."""

    def __init__(self, batch: ContextBatch, device: torch.device) -> None:
        where = counts(batch).flatten()
        self.position = where.nonzero()[:, 0].to(device)
        self.target = targets(batch).to(device)
        self.document = batch.document.flatten()[where]

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


def _surprises(log_p: Float[Tensor, "predictions vocab"], target: Int[Tensor, " predictions"]) -> Tensor:
    return -log_p.gather(1, target[:, None])[:, 0].double()


def _joined(parts: list[Tensor], like: Tensor) -> Float[Tensor, " predictions"]:
    return torch.cat([torch.zeros(0, dtype=torch.float64, device=like.device), *parts])
