"""Intervals of a sample's figures: what they would be with other documents of the same kind.

Tokens of a document are alike, so what is drawn anew is documents: as many as there are, with replacement, `RESAMPLES`
times (Efron 1979). A figure's interval is where the middle 95% of its values on these draws lie. Beyond `MOST_GROUPS`
documents these are dealt out into as many groups, which are drawn whole, so memory does not grow with the sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.core.rng import numpy_stream

MOST_GROUPS, LEAST_GROUPS = 400, 10
RESAMPLES, COVERAGE = 1000, 0.95
MOST_WAITING = 1 << 22

Interval = tuple[float, float]


class DocumentSums:
    """Named sums over the rows of each document (or group of documents), batch by batch."""

    def __init__(self) -> None:
        self._number: dict[int, int] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, sp.csr_matrix] = {}
        self._waiting: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}

    @property
    def n_documents(self) -> int:
        """Documents seen."""
        return len(self._number)

    @property
    def n_groups(self) -> int:
        """What is drawn: documents, or groups of them."""
        return min(self.n_documents, MOST_GROUPS)

    @property
    def enough(self) -> bool:
        """Whether there are enough for an interval."""
        return self.n_groups >= LEAST_GROUPS

    def group(self, document: Int[Tensor, " rows"]) -> Int[Tensor, " rows"]:
        """The group of each row."""
        ids, place = document.cpu().unique(return_inverse=True)
        own = [self._number.setdefault(i, len(self._number)) % MOST_GROUPS for i in ids.tolist()]
        return torch.tensor(own, dtype=torch.int64)[place]

    def add(self, name: str, group: Int[Tensor, " rows"], values: Float[Tensor, " rows *shape"]) -> None:
        """Add `values` to their groups' sums under `name`."""
        if name not in self._sums:
            self._sums[name] = torch.zeros(MOST_GROUPS, *values.shape[1:], dtype=torch.float64)
        self._sums[name].index_add_(0, group, values.detach().cpu().double())

    def count(self, name: str, group: Int[Tensor, " n"], what: Int[Tensor, " n"]) -> None:
        """Count occurrences of whole numbers `what` under `name`."""
        waiting = self._waiting.setdefault(name, [])
        waiting.append((group.cpu().numpy(), what.cpu().numpy()))
        if sum(len(own) for own, _ in waiting) > MOST_WAITING:
            self._counted(name)

    def cost(self, name: str, each: Float[Tensor, " symbols"]) -> Float[np.ndarray, " groups"]:
        """Σ over a group's occurrences under `name` of what each costs."""
        counts = self._counted(name)[: self.n_groups]
        return np.asarray(counts @ each[: counts.shape[1]].double().cpu().numpy())

    def cost_of_each(self, name: str) -> Float[np.ndarray, " groups *shape"]:
        """Each group's sum under `name`."""
        return np.asarray(self._sums[name][: self.n_groups].numpy())

    def counted(self, name: str) -> Int[np.ndarray, " symbols"]:
        """How often each number occurs under `name`."""
        return np.asarray(self._counted(name).sum(axis=0)).ravel()

    @cached_property
    def weights(self) -> Float[np.ndarray, "resamples groups"]:
        """How often each group is drawn in each resample. Call it when everything has been added."""
        stream = numpy_stream(0, "analysis/levels/bootstrap")
        return stream.multinomial(self.n_groups, np.full(self.n_groups, 1 / self.n_groups), size=RESAMPLES) * 1.0

    def resampled(self, name: str) -> Float[np.ndarray, " resamples *shape"]:
        """The sum under `name` in each resample."""
        sums = self._sums[name][: self.n_groups].numpy()
        return np.asarray(np.tensordot(self.weights, sums, axes=1))

    def resampled_counts(self, name: str, chosen: Int[np.ndarray, " m"]) -> Float[np.ndarray, "resamples m"]:
        """How often each of the `chosen` numbers occurs under `name` in each resample."""
        counts = self._counted(name)[: self.n_groups]
        inside = chosen < counts.shape[1]
        out = np.zeros((RESAMPLES, len(chosen)))
        out[:, inside] = self.weights @ counts[:, chosen[inside]].toarray()
        return out

    def sentence(self) -> str:
        """What the intervals are."""
        groups = f"{self.n_documents:,} documents"
        if self.n_documents > self.n_groups:
            groups += f" in {self.n_groups:,} groups"
        if not self.enough:
            return f"There are no intervals: they need {LEAST_GROUPS} documents, and there is text of {groups}."
        return f"Intervals are of {COVERAGE:.0%}, by {RESAMPLES:,} bootstrap draws of {groups}."

    def _counted(self, name: str) -> sp.csr_matrix:
        before, waiting = self._counts.get(name), self._waiting.get(name, [])
        if before is None:
            before = sp.csr_matrix((MOST_GROUPS, 0), dtype=np.int64)
        if waiting:
            group, what = (np.concatenate(part) for part in zip(*waiting, strict=True))
            width = max(before.shape[1], int(what.max(initial=-1)) + 1)
            before.resize(MOST_GROUPS, width)
            before = before + sp.csr_matrix((np.ones(len(what), np.int64), (group, what)), shape=(MOST_GROUPS, width))
            waiting.clear()
            self._counts[name] = before
        return before


def intervals(resampled: Mapping[str, Float[np.ndarray, " resamples"]]) -> dict[str, Interval]:
    """Where the middle `COVERAGE` of each figure's values lie; none for a figure that some draw does not have."""
    tail = (1 - COVERAGE) / 2
    out = {}
    for name, values in resampled.items():
        low, high = np.quantile(values, [tail, 1 - tail])
        if math.isfinite(low) and math.isfinite(high):
            out[name] = (float(low), float(high))
    return out
