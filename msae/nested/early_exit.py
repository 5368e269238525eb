"""Early exit: a row is answered at the first level that is sure enough (MRL-AC, Kusupati et al. 2022).

Sure is a largest softmax probability at a threshold of the level's own or above. Thresholds are chosen on validation
rows: of those that keep the accuracy within `tolerance` of the full width's, the ones that read least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.core.config import require
from msae.nested.classification import Judged

NEVER = 2.0
"""A threshold that no confidence reaches."""
PRICES = tuple(10 ** (step / 8) for step in range(-8, 25))
"""Of an error, in full widths read."""


def choose_thresholds(valid: Judged, tolerance: float = 0.005) -> tuple[float, ...]:
    """The confidence at which each level but the last may answer; `NEVER` where a level may not.

    On the validation rows the accuracy is at most `tolerance` below the full width's, and of the candidates that keep
    to this the one of least expected width is taken: thresholds from the smallest level on, each the lowest that the
    tolerance allows, and thresholds that are best at a price in numbers read for an error, for each of `PRICES`.
    """
    require(tolerance >= 0, "tolerance", tolerance, "a share of the rows, zero or more")
    n = valid.label.numel()
    least = int(valid.right[-1].sum()) - tolerance * n
    full = (NEVER,) * (len(valid.widths) - 1)
    candidates = [full, lowest_first(valid, tolerance), *(best_at(valid, p * valid.read_widths[-1]) for p in PRICES)]
    exits = [EarlyExit.of(valid, thresholds) for thresholds in candidates]
    allowed = [out for out in exits if int(out.right.sum()) >= least]
    return min(allowed, key=lambda out: out.expected_width).thresholds


def lowest_first(valid: Judged, tolerance: float) -> tuple[float, ...]:
    """From the smallest level on, the lowest threshold at which the errors that stopping makes, less those that it
    avoids, stay within `tolerance` of all rows."""
    n = valid.label.numel()
    going = torch.ones(n, dtype=torch.bool)
    spent, thresholds = 0, []
    for right, confidence in zip(valid.right[:-1], valid.confidence[:-1], strict=True):
        order, ranked, ends = _cuts(confidence[going])
        loss = (valid.right[-1][going].long() - right[going].long())[order].cumsum(0) + spent
        allowed = torch.nonzero(ends & (loss <= tolerance * n)).flatten()
        if len(allowed):
            last = int(allowed[-1])
            thresholds.append(float(ranked[last]))
            spent = int(loss[last])
            going = going & (confidence < ranked[last])
        else:
            thresholds.append(NEVER)
    return tuple(thresholds)


def best_at(valid: Judged, price: float) -> tuple[float, ...]:
    """From the last level back, the threshold at which answering rather than going on costs least: numbers read, and
    `price` numbers for an error."""
    read = valid.read_widths
    cost = read[-1] + price * (~valid.right[-1]).double()
    thresholds = []
    for level in reversed(range(len(read) - 1)):
        here = read[level] + price * (~valid.right[level]).double()
        order, ranked, ends = _cuts(valid.confidence[level])
        saved = torch.where(ends, (cost - here)[order].cumsum(0), -torch.inf)
        most = int(saved.argmax())
        stops = float(saved[most]) > 0
        thresholds.append(float(ranked[most]) if stops else NEVER)
        if stops:
            cost = torch.where(valid.confidence[level] >= ranked[most], here, cost)
    return tuple(reversed(thresholds))


def _cuts(confidence: Float[Tensor, " rows"]) -> tuple[Tensor, Tensor, Tensor]:
    """Rows from the most confident on, their confidences, and where a threshold may cut: rows of equal confidence stop
    together, so only where the next one's is lower."""
    ranked, order = torch.sort(confidence, descending=True, stable=True)
    ends = torch.cat([ranked[1:] < ranked[:-1], torch.ones(min(1, len(ranked)), dtype=torch.bool)])
    return order, ranked, ends


@dataclass(frozen=True, kw_only=True)
class EarlyExit:
    """Where rows stop. `level`: of each row; `answer`: the class given there."""

    judged: Judged
    thresholds: tuple[float, ...]
    level: Int[Tensor, " rows"]
    answer: Int[Tensor, " rows"]

    @classmethod
    def of(cls, judged: Judged, thresholds: Sequence[float]) -> EarlyExit:
        """Every row at its first level of enough confidence, or the last."""
        n = len(judged.widths) - 1
        require(len(thresholds) == n, "thresholds", list(thresholds), f"{n}, one a level but the last")
        passes = judged.confidence >= torch.tensor([*thresholds, 0.0])[:, None]
        passes[-1] = True
        level = passes.float().argmax(0)
        answer = judged.answer.gather(0, level[None])[0]
        return cls(judged=judged, thresholds=tuple(thresholds), level=level, answer=answer)

    @property
    def right(self) -> Tensor:
        """Whether each row is answered right."""
        return self.answer == self.judged.label

    @property
    def accuracy(self) -> float:
        """The share of rows answered right."""
        return float(self.right.double().mean())

    @property
    def expected_width(self) -> float:
        """Mean over rows of the numbers that are read until they stop."""
        return float(self._read(self.judged.read_widths).mean())

    @property
    def expected_bytes(self) -> float:
        """The same in bytes."""
        return float(self._read(self.judged.read_bytes).mean())

    @property
    def stops(self) -> list[float]:
        """The share of rows that stop at each level."""
        return [float((self.level == g).double().mean()) for g in range(len(self.judged.widths))]

    def by_class(self) -> list[dict[str, Any]]:
        """For every class with rows: how many, accuracy of each level and of stopping early, and the numbers read.

        `z`: how far the mean of the numbers read lies from that of all rows, in standard errors of as many rows drawn
        from all without replacement: what a class that is like any other has is near 0, with a deviation of 1.
        """
        judged, read = self.judged, self._read(self.judged.read_widths)
        n, mean, deviation = len(read), float(read.mean()), float(read.std(correction=0))
        rows = []
        for number, name in enumerate(judged.classes):
            own = judged.label == number
            count = int(own.sum())
            if not count:
                continue
            width = float(read[own].mean())
            error = deviation * ((n - count) / (count * max(1, n - 1))) ** 0.5
            rows.append(
                {
                    "class": name,
                    "rows": count,
                    "accuracy": [float(right[own].double().mean()) for right in judged.right],
                    "exit_accuracy": float(self.right[own].double().mean()),
                    "expected_width": width,
                    "z": (width - mean) / error if error > 0 else None,
                }
            )
        return sorted(rows, key=lambda row: -row["expected_width"])

    def by_level(self) -> list[dict[str, Any]]:
        """For every level: width, bytes, accuracy, its threshold (None for the last and where it may not answer), and
        the share of rows that stop there."""
        bars = [None if bar >= NEVER else bar for bar in self.thresholds]
        columns = (self.judged.widths, self.judged.bytes, self.judged.accuracy, [*bars, None], self.stops)
        names = ("width", "bytes", "accuracy", "threshold", "stops")
        return [
            {"level": level, **dict(zip(names, values, strict=True))}
            for level, values in enumerate(zip(*columns, strict=True))
        ]

    def _read(self, of_level: Sequence[int] | Sequence[float]) -> Tensor:
        return torch.tensor(of_level, dtype=torch.float64)[self.level]
