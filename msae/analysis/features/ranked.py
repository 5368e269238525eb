"""Each latent's activations in rising order: what exact quantiles, histograms and examples are read from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from msae.analysis.sample.code_table import CodeTable


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The codes of latents first … stop − 1. Latent j's lie between `start[j − first]` and `start[j − first + 1]`.

    `value` rises within a latent; `row` goes with it; `place` is where the code lies in `CodeTable.row`.
    """

    first: int
    stop: int
    start: Int[np.ndarray, " bounds"]
    value: Float[np.ndarray, " codes"]
    row: Int[np.ndarray, " codes"]
    place: Int[np.ndarray, " codes"]

    @property
    def counts(self) -> Int[np.ndarray, " latents"]:
        """How many codes each latent has."""
        return np.diff(self.start)

    @property
    def local(self) -> Int[np.ndarray, " codes"]:
        """Each code's latent, counted from `first`."""
        return np.repeat(np.arange(self.stop - self.first), self.counts)

    def quantile(self, q: float) -> Float[np.ndarray, " latents"]:
        """The q-quantile of each latent's nonzero activations, interpolated linearly; NaN where there are none."""
        n = self.counts
        place = q * np.maximum(n - 1, 0)
        below = np.floor(place).astype(np.int64)
        weight = place - below
        out = np.full(len(n), np.nan)
        some = n > 0
        low = self.start[:-1][some] + below[some]
        high = np.minimum(low + 1, self.start[1:][some] - 1)
        out[some] = (1 - weight[some]) * self.value[low] + weight[some] * self.value[high]
        return out


def ranked(codes: CodeTable) -> Iterator[Ranked]:
    """All latents, some at a time; a block holds at most 2²² codes, or one latent's."""
    for latents in codes.latent_blocks():
        start = codes.latent_start[latents.start : latents.stop + 1]
        span = slice(int(start[0]), int(start[-1]))
        value, row = codes.value_by_latent[span], codes.row[span]
        local = np.repeat(np.arange(latents.stop - latents.start, dtype=np.uint64), np.diff(start))
        # Codes are positive, and positive floats order as their bits do; equal ones keep the order of their rows.
        order = np.argsort(local << np.uint64(32) | value.view(np.uint32), kind="stable")
        yield Ranked(
            first=latents.start,
            stop=latents.stop,
            start=start - start[0],
            value=value[order],
            row=row[order],
            place=order + span.start,
        )
