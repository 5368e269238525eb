"""Every level's figures that need the model: what its predictions lose when a level takes the activations' place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.activations.source import ContextBatch, PatchableSource, rows_kept
from msae.analysis.interventions.patching import put_row, put_rows, recorded, small_parts, vocabulary
from msae.analysis.levels.level_meter import LevelMeter
from msae.analysis.levels.next_token import Predictions, counts, surprises, unigram_cost
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
        self._sums: dict[str, float] = {}

    @property
    def passes(self) -> int:
        """How often the model runs on each context."""
        return 3 + self.meter.sae.n_levels * (2 if self.quantised else 1)

    @torch.no_grad()
    def update(self, batch: ContextBatch) -> None:
        """One batch: untouched, with zeros, and with every level. Its rows go to the `LevelMeter` as well."""
        for part in self._parts(batch):
            clean, seen = recorded(self.source, part, (self.hook_name,))
            rows, document = rows_kept(part, seen[self.hook_name]), part.document[part.keep]
            codes, rounded = self.meter.update(rows, document)
            predictions = Predictions(part, clean)
            del clean, seen
            self.n_predictions += len(predictions)
            own = predictions.document
            self._add("predictions", own, torch.ones(len(own)))
            self.meter.documents.count("targets", self.meter.documents.group(own), predictions.target.cpu())
            self._add("clean", own, predictions.surprises())
            self._add("zero", own, self._ablated(part, self._zeros))
            for level, logits in enumerate(self._spliced_logits(part, codes)):
                surprise, divergence = predictions.compare_each(logits)
                self._add(f"spliced/{level}", own, surprise)
                self._add(f"divergence/{level}", own, divergence)
            if self.quantised:
                for level, logits in enumerate(self._spliced_logits(part, rounded)):
                    self._add(f"rounded/{level}", own, surprises(part, logits)[0])

    @torch.no_grad()
    def ablate_mean(self, batch: ContextBatch) -> None:
        """One batch with the mean of all rows seen at every kept position; call it once `update` has seen them all."""
        for part in self._parts(batch):
            each = self._ablated(part, self.meter.mean())
            self._add("mean", part.document[counts(part)], each)

    def figures(self) -> tuple[list[dict[str, float | None]], list[str]]:
        """The CE and KL figures of every level, and notes on those that cannot be given."""
        n = self.n_predictions
        if n == 0:
            why = "No prediction counts: every document in the sample has one token."
            return [{} for _ in range(self._n_levels)], [why]
        sums = {name: np.asarray(total) for name, total in self._sums.items()} | {"unigram": self._unigram().sum()}
        rows = self._rows(sums)
        notes = [
            f"CE recovered against {name} is not given: it costs the model {gap:.2g} nats."
            for name, column in (("zeros", "ce_zero"), ("the mean", "ce_mean"), ("a unigram", "ce_unigram"))
            if not (gap := rows[0][column] - rows[0]["ce_clean"]) > SMALLEST_GAP
        ]
        return [{name: _given(name, row) for name in row} for row in rows], notes

    def resampled(self) -> list[dict[str, Float[np.ndarray, " resamples"]]]:
        """The same figures on other draws of the documents, in which the unigram stays that of the whole sample."""
        documents = self.meter.documents
        if self.n_predictions == 0:
            return [{} for _ in range(self._n_levels)]
        sums = {name: documents.resampled(name) for name in self._sums}
        return self._rows(sums | {"unigram": documents.weights @ self._unigram()})

    @property
    def _n_levels(self) -> int:
        return self.meter.sae.n_levels

    def _rows(self, sums: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Every level's figures from sums over predictions."""
        n = sums["predictions"]
        clean, zero, mean, unigram = (sums[name] / n for name in ("clean", "zero", "mean", "unigram"))
        rows = []
        for level in range(self._n_levels):
            spliced = sums[f"spliced/{level}"] / n
            rows.append(
                {
                    "ce_clean": clean,
                    "ce_sae": spliced,
                    "ce_lost": spliced - clean,
                    "ce_zero": zero,
                    "ce_mean": mean,
                    "ce_unigram": unigram,
                    "ce_recovered": _share(clean, spliced, zero),
                    "ce_recovered_mean": _share(clean, spliced, mean),
                    "ce_recovered_unigram": _share(clean, spliced, unigram),
                    "kl": sums[f"divergence/{level}"] / n,
                    **({"ce_quantised": sums[f"rounded/{level}"] / n} if self.quantised else {}),
                }
            )
        return rows

    def _unigram(self) -> Float[np.ndarray, " groups"]:
        """What each group's tokens cost under the distribution of all of them, in nats."""
        documents = self.meter.documents
        return documents.cost("targets", unigram_cost(torch.from_numpy(documents.counted("targets"))))

    def _add(self, name: str, document: Int[Tensor, " predictions"], each: Float[Tensor, " predictions"]) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + each.double().sum().item()
        self.meter.documents.add(name, self.meter.documents.group(document), each)

    def _ablated(self, batch: ContextBatch, row: Float[Tensor, " d_in"]) -> Float[Tensor, " predictions"]:
        return surprises(batch, self.source.logits(batch, {self.hook_name: put_row(row)}))[0]

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
    share = float(_share(clean, spliced, ablated))
    return share if math.isfinite(share) else None


def _given(name: str, row: Mapping[str, Any]) -> float | None:
    """A figure as it is given: None for a share of nothing. What else is not finite has another reason."""
    of_nothing = name.startswith("ce_recovered") and not math.isfinite(row[name]) and math.isfinite(row["ce_sae"])
    return None if of_nothing else float(row[name])


def _share(clean: Any, spliced: Any, ablated: Any) -> Any:
    """`recovered`, of numbers or arrays; NaN where it is not given."""
    gap = np.asarray(ablated - clean, dtype=np.float64)
    hurts = np.isfinite(gap) & (gap > SMALLEST_GAP)
    return np.where(hurts, (ablated - spliced) / np.where(hurts, gap, 1.0), np.nan)
