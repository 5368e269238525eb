"""Nestings: which prefixes of the dictionary are asked to reconstruct on their own.

A *level* is a prefix of the latents; level 0 is the smallest. To add a nesting: a subclass and one entry in `NESTINGS`.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch

from msae.core.config import require

LevelWeights = Literal["equal", "balanced"] | tuple[float, ...]
BALANCE = 0.75


@dataclass(frozen=True, kw_only=True)
class Nesting(ABC):
    """How the latents are nested. `d_sae` is given to the methods, so that one nesting can serve several SAEs."""

    @abstractmethod
    def train_widths(self, d_sae: int, generator: torch.Generator) -> tuple[int, ...]:
        """The prefix widths of one training step, increasing, the last equal to `d_sae`."""

    @abstractmethod
    def eval_widths(self, d_sae: int) -> tuple[int, ...]:
        """The fixed prefix widths that every figure is given for, increasing, the last equal to `d_sae`."""

    @abstractmethod
    def weights(self, n_levels: int) -> tuple[float, ...]:
        """The weight of each of `n_levels` prefixes in the loss; they sum to one."""


@dataclass(frozen=True, kw_only=True)
class Unnested(Nesting):
    """No nesting: the whole dictionary is the only prefix. The plain SAE, and the baseline of every comparison."""

    def train_widths(self, d_sae: int, generator: torch.Generator) -> tuple[int, ...]:
        """Only the full width."""
        return (d_sae,)

    def eval_widths(self, d_sae: int) -> tuple[int, ...]:
        """Only the full width."""
        return (d_sae,)

    def weights(self, n_levels: int) -> tuple[float, ...]:
        """The one prefix has all the weight."""
        return normalised_weights("equal", n_levels)


@dataclass(frozen=True)
class FixedPrefixes(Nesting):
    """The same prefixes at every step (Bussmann et al. 2025, arXiv:2503.17547).

    `widths`: cumulative, increasing, ending at d_sae. `level_weights`: ``equal``, ``balanced`` (level g of G weighs
    0.75^(G−1−g): inner levels hedge less, absorb more), or one positive number per level.
    """

    widths: tuple[int, ...]
    level_weights: LevelWeights = "equal"

    def __post_init__(self) -> None:
        _require_widths(self.widths)
        normalised_weights(self.level_weights, len(self.widths))

    def train_widths(self, d_sae: int, generator: torch.Generator) -> tuple[int, ...]:
        """The given widths."""
        return self.eval_widths(d_sae)

    def eval_widths(self, d_sae: int) -> tuple[int, ...]:
        """The given widths; `ConfigError` if they do not end at `d_sae`."""
        require(self.widths[-1] == d_sae, "widths", self.widths, f"increasing widths that end at d_sae = {d_sae}")
        return self.widths

    def weights(self, n_levels: int) -> tuple[float, ...]:
        """The level weights, normalised."""
        return normalised_weights(self.level_weights, n_levels)


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
            _require_widths(self.widths)

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


NESTINGS: dict[str, type[Nesting]] = {cls.__name__: cls for cls in (Unnested, FixedPrefixes, SampledPrefixes)}


def normalised_weights(level_weights: LevelWeights, n_levels: int) -> tuple[float, ...]:
    """Level weights that sum to one, from their name or from one positive number per level."""
    if level_weights == "equal":
        raw: tuple[float, ...] = (1.0,) * n_levels
    elif level_weights == "balanced":
        raw = tuple(BALANCE ** (n_levels - 1 - level) for level in range(n_levels))
    else:
        ok = isinstance(level_weights, tuple) and len(level_weights) == n_levels and min(level_weights) > 0
        require(ok, "level_weights", level_weights, f"'equal', 'balanced' or {n_levels} positive numbers")
        raw = tuple(float(weight) for weight in level_weights)
    total = sum(raw)
    return tuple(weight / total for weight in raw)


def _require_widths(widths: tuple[int, ...]) -> None:
    increasing = all(inner < outer for inner, outer in itertools.pairwise(widths))
    whole = all(isinstance(width, int) for width in widths)
    ok = whole and len(widths) > 0 and widths[0] > 0 and increasing
    require(
        ok,
        "widths",
        widths,
        "positive, strictly increasing, whole numbers: cumulative prefix widths such as (256, 1024, 4096)",
    )
