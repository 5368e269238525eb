"""Prefix widths and level weights: what makes sense, and the weights by their names."""

from __future__ import annotations

import itertools
from typing import Literal

from msae.core.config import require

LevelWeights = Literal["equal", "balanced"] | tuple[float, ...]
BALANCE = 0.75


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


def require_widths(widths: tuple[int, ...]) -> None:
    """Raise `ConfigError` unless `widths` are cumulative prefix widths."""
    increasing = all(inner < outer for inner, outer in itertools.pairwise(widths))
    whole = all(isinstance(width, int) for width in widths)
    ok = whole and len(widths) > 0 and widths[0] > 0 and increasing
    require(
        ok,
        "widths",
        widths,
        "positive, strictly increasing, whole numbers: cumulative prefix widths such as (256, 1024, 4096)",
    )
