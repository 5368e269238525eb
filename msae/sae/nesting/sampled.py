"""Prefixes drawn anew at each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from msae.core.checked import checked
from msae.core.config import require
from msae.sae.nesting.level_weights import normalised_weights, require_widths
from msae.sae.nesting.scheme import Nesting


@checked
@dataclass(frozen=True, kw_only=True)
class SampledPrefixes(Nesting):
    """The full width and `n` − 1 prefixes drawn anew at each step (Nabeshima's random prefixes).

    Widths are drawn without replacement with P(m ≤ l) = (l / d_sae)^0.5. `widths` are the fixed levels that figures are
    given for; None means powers of two from d_sae / 64 up to d_sae.
    """

    n: int = 10
    widths: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        require(self.n >= 1, "n", self.n, "at least one prefix (the full width)")
        if self.widths is not None:
            require_widths(self.widths)

    def train_widths(self, d_sae: int, generator: torch.Generator) -> tuple[int, ...]:
        """`n` distinct widths (fewer only where d_sae itself is smaller than `n`)."""
        drawn = {d_sae}
        while len(drawn) < min(self.n, d_sae):
            u = torch.rand((), generator=generator, dtype=torch.float64).item()
            drawn.add(max(1, math.ceil(d_sae * u * u)))
        return tuple(sorted(drawn))

    def eval_widths(self, d_sae: int) -> tuple[int, ...]:
        """The given widths, or d_sae / 64, d_sae / 32, … d_sae."""
        if self.widths is None:
            return tuple(sorted({max(1, d_sae >> shift) for shift in range(7)}))
        require(self.widths[-1] == d_sae, "widths", self.widths, f"increasing widths that end at d_sae = {d_sae}")
        return self.widths

    def weights(self, n_levels: int) -> tuple[float, ...]:
        """Every prefix weighs the same."""
        return normalised_weights("equal", n_levels)

    @classmethod
    def example(cls, d_sae: int) -> SampledPrefixes:
        """Three prefixes a step; figures for a quarter of the latents, and all."""
        return cls(n=3, widths=tuple(sorted({max(1, d_sae // 4), d_sae})))
