"""Every level's figures that need the model: what its predictions lose when a level takes the activations' place."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from msae.activations.source import ContextBatch, PatchableSource, rows_kept
from msae.analysis.interventions.patching import put_row, put_rows, recorded, small_parts, vocabulary
from msae.analysis.levels.level_meter import LevelMeter
from msae.analysis.levels.next_token import Predictions, cross_entropy
from msae.sae.codes import SparseCodes

SMALLEST_GAP = 1e-6


class LossMeter:
    """Runs a model on contexts, untouched and with every level of an SAE spliced in at `hook_name`."""

    def __init__(
        self, source: PatchableSource, hook_name: str, meter: LevelMeter, *, quantised: bool, max_logits: int
    ) -> None:
        self.source, self.hook_name, self.meter, self.quantised = source, hook_name, meter, quantised
        self.n_predictions = 0
        self._max_logits = max_logits
        self._n_vocab = 0
        self._zeros = torch.zeros(meter.sae.d_in)
        self._clean = self._zero = self._mean = 0.0
        self._spliced, self._divergence, self._rounded = ([0.0] * meter.sae.n_levels for _ in range(3))

    @property
    def passes(self) -> int:
        """How often the model runs on each context."""
        return 3 + self.meter.sae.n_levels * (2 if self.quantised else 1)

    @torch.no_grad()
    def update(self, batch: ContextBatch) -> None:
        """One batch: untouched, with zeros, and with every level. Its rows go to the `LevelMeter` as well."""
        for part in self._parts(batch):
            clean, seen = recorded(self.source, part, (self.hook_name,))
            codes, rounded = self.meter.update(rows_kept(part, seen[self.hook_name]))
            predictions = Predictions(part, clean)
            del clean, seen
            self.n_predictions += len(predictions)
            self._clean += predictions.cross_entropy()
            self._zero += self._ablated(part, self._zeros)
            for level, logits in enumerate(self._spliced_logits(part, codes)):
                surprise, divergence = predictions.compare(logits)
                self._spliced[level] += surprise
                self._divergence[level] += divergence
            if self.quantised:
                for level, logits in enumerate(self._spliced_logits(part, rounded)):
                    self._rounded[level] += cross_entropy(part, logits)

    @torch.no_grad()
    def ablate_mean(self, batch: ContextBatch) -> None:
        """One batch with the mean of all rows seen at every kept position; call it once `update` has seen them all."""
        for part in self._parts(batch):
            self._mean += self._ablated(part, self.meter.mean())

    def figures(self) -> tuple[list[dict[str, float | None]], list[str]]:
        """The CE and KL figures of every level, and notes on those that cannot be given."""
        n = self.n_predictions
        if n == 0:
            return [{} for _ in self._spliced], ["No prediction counts: every document in the sample has one token."]
        clean, zero, mean = self._clean / n, self._zero / n, self._mean / n
        notes = [
            f"CE recovered against {name} is not given: it costs the model {ablated - clean:.2g} nats."
            for name, ablated in (("zeros", zero), ("the mean", mean))
            if not ablated - clean > SMALLEST_GAP
        ]
        rows = [
            {
                "ce_clean": clean,
                "ce_sae": spliced / n,
                "ce_zero": zero,
                "ce_mean": mean,
                "ce_recovered": recovered(clean, spliced / n, zero),
                "ce_recovered_mean": recovered(clean, spliced / n, mean),
                "kl": divergence / n,
                "ce_quantised": rounded / n if self.quantised else None,
            }
            for spliced, divergence, rounded in zip(self._spliced, self._divergence, self._rounded, strict=True)
        ]
        return rows, notes

    def _ablated(self, batch: ContextBatch, row: Float[Tensor, " d_in"]) -> float:
        return cross_entropy(batch, self.source.logits(batch, {self.hook_name: put_row(row)}))

    def _spliced_logits(
        self, batch: ContextBatch, codes: SparseCodes
    ) -> Iterator[Float[Tensor, "batch context vocab"]]:
        for x_hat in self.meter.sae.decode_levels(codes):
            yield self.source.logits(batch, {self.hook_name: put_rows(x_hat)})

    def _parts(self, batch: ContextBatch) -> Iterator[ContextBatch]:
        if self._n_vocab == 0:
            self._n_vocab = vocabulary(self.source, batch)
        return small_parts(batch, self._n_vocab, self._max_logits)


def recovered(clean: float, spliced: float, ablated: float) -> float | None:
    """(ablated − spliced) / (ablated − clean), or None where ablation does not hurt (by 10⁻⁶ nats or more)."""
    gap = ablated - clean
    return (ablated - spliced) / gap if math.isfinite(gap) and gap > SMALLEST_GAP else None
