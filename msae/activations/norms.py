"""How the norms of a store's rows are spread: whether a few huge rows rule every figure made of squares.

Attention sinks and "massive activations" (Sun et al. 2402.17762) are rows of up to a thousand times the usual norm, at
the first position of a context and at some tokens inside. Two rows in a thousand at 100 times the median norm hold 95%
of E‖x‖², so an FVU over all rows says how well *they* are reconstructed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.errors import ConfigError
from msae.core.sinks import SINK_FACTOR, norms_of

MEDIAN_ROWS = 1 << 20
WORTH_A_WARNING = 0.01


@dataclass(frozen=True, kw_only=True)
class NormSummary:
    """The norms ‖x‖ of all rows of a store, as stored.

    `median`: over all rows (over an even sample of 2²⁰, of more). `largest`: over all rows. `n_sinks`: rows whose norm
    is above 10 × `median`; `sink_share`: their share of Σ‖x‖².
    """

    median: float
    largest: float
    n_sinks: int
    sink_share: float

    @property
    def sink_norm(self) -> float:
        """The norm above which a row is called a sink; infinite when more than half of the rows are zero."""
        return SINK_FACTOR * self.median or math.inf

    @property
    def sinks_rule(self) -> bool:
        """Whether sinks hold enough of Σ‖x‖² (1%) for figures over all rows to be figures about them."""
        return self.sink_share > WORTH_A_WARNING

    def line(self, n_rows: int) -> str:
        """The summary of `n_rows` rows in a line."""
        if self.n_sinks == 0:
            return f"median {self.median:.4g}, largest {self.largest:.4g}"
        return (
            f"median {self.median:.4g}, largest {self.largest:.4g} ({self.largest / self.median:.0f} x); "
            f"{self.n_sinks:,} rows ({self.n_sinks / n_rows:.2%}) above {SINK_FACTOR:.0f} x the median hold "
            f"{self.sink_share:.1%} of E||x||^2"
        )


def summarize_norms(parts: Sequence[Float[Tensor, " _"]]) -> NormSummary:
    """The summary of norms given in parts, such as memory-mapped shards; each part is read twice.

    Raises `ConfigError` when there is no row.
    """
    parts = [part for part in parts if len(part)]
    n_rows = sum(map(len, parts))
    if n_rows == 0:
        raise ConfigError("there is no row, so there is no median norm: give at least one row")
    median = float(torch.cat([*_evenly(parts, -(-n_rows // MEDIAN_ROWS))]).median())
    limit = SINK_FACTOR * median or math.inf
    n_sinks, largest, squares, of_sinks = 0, 0.0, 0.0, 0.0
    for part in parts:
        sink, square = part > limit, part.double().square()
        n_sinks += int(sink.sum())
        largest = max(largest, float(part.max()))
        squares += float(square.sum())
        of_sinks += float(square[sink].sum())
    return NormSummary(
        median=median, largest=largest, n_sinks=n_sinks, sink_share=of_sinks / squares if squares > 0 else 0.0
    )


def _evenly(parts: Sequence[Tensor], step: int) -> Iterable[Tensor]:
    """Every `step`-th value of the parts joined."""
    first = 0
    for part in parts:
        yield part[first::step]
        first = (first - len(part)) % step


__all__ = ["NormSummary", "norms_of", "summarize_norms"]
