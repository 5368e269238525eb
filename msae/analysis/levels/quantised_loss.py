"""What a model's predictions lose when it continues with rounded codes: cross-entropy per quantiser step and level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from msae.activations.source import ContextBatch, PatchableSource, rows_kept
from msae.analysis.interventions.patching import put_row, put_rows, recorded, small_parts, vocabulary
from msae.analysis.levels.loss_meter import recovered
from msae.analysis.levels.next_token import cross_entropy, targets, unigram_entropy
from msae.analysis.levels.rate import decoder_norms, quantise
from msae.analysis.sample.pairing import evaluating
from msae.core.progress import bar
from msae.sae.autoencoder import SparseAutoencoder


@dataclass(frozen=True, kw_only=True)
class QuantisedLosses:
    """Cross-entropies in nats over `n_predictions`: of the model untouched, with zeros at the hook, of how often each
    token occurs among those predicted, and with the reconstruction of every level from codes rounded to every step."""

    n_predictions: int
    clean: float
    zero: float
    unigram: float
    rounded: Float[np.ndarray, "step level"]

    def recovered(self, step: int, level: int) -> float | None:
        """(zero − rounded) / (zero − clean), None where zeros do not hurt."""
        return recovered(self.clean, float(self.rounded[step, level]), self.zero)

    def recovered_unigram(self, step: int, level: int) -> float | None:
        """(unigram − rounded) / (unigram − clean), None where the model does not do better than a unigram."""
        return recovered(self.clean, float(self.rounded[step, level]), self.unigram)


@torch.no_grad()
def quantised_losses(
    sae: SparseAutoencoder,
    source: PatchableSource,
    hook_name: str,
    contexts: Iterable[ContextBatch],
    steps: Sequence[float],
    *,
    max_logits: int = 1 << 26,
    progress: bool = False,
) -> QuantisedLosses | None:
    """Run the model 2 + steps · levels times on every context; None where no prediction counts."""
    batches = list(contexts)
    n_predictions, clean, zero = 0, 0.0, 0.0
    norms = decoder_norms(sae)
    following: list[Tensor] = []
    rounded = np.zeros((len(steps), sae.n_levels))
    passes = 2 + rounded.size
    n_vocab = vocabulary(source, batches[0]) if batches else 0
    with evaluating(sae), bar("predict", passes * sum(map(len, batches)), shown=progress) as advance:
        for part in (part for batch in batches for part in small_parts(batch, n_vocab, max_logits)):
            logits, seen = recorded(source, part, (hook_name,))
            following.append(targets(part))
            n_predictions += len(following[-1])
            clean += cross_entropy(part, logits)
            del logits
            zero += cross_entropy(part, source.logits(part, {hook_name: put_row(torch.zeros(sae.d_in))}))
            codes = sae.encode(rows_kept(part, seen[hook_name]).to(sae.device, sae.dtype))
            for s, step in enumerate(steps):
                for level, x_hat in enumerate(sae.decode_levels(quantise(codes, step, norms))):
                    rounded[s, level] += cross_entropy(part, source.logits(part, {hook_name: put_rows(x_hat)}))
            advance(passes * len(part))
    if n_predictions == 0:
        return None
    return QuantisedLosses(
        n_predictions=n_predictions,
        clean=clean / n_predictions,
        zero=zero / n_predictions,
        unigram=unigram_entropy(torch.cat(following).bincount()),
        rounded=rounded / n_predictions,
    )


__all__ = ["QuantisedLosses", "quantised_losses"]
