"""Input scaling: one scalar s with E‖s·x‖² = d_in, so that losses and penalties mean the same for every model.

The same two moments (the mean and E‖x‖², kept by every store over all its rows in float64) give the variance that
losses and FVU are divided by.
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from msae.core.errors import ConfigError
from msae.core.numerics import float64


def scale_from_moments(mean_squared_norm: float, d_in: int) -> float:
    """s with E‖s·x‖² = d_in, from E‖x‖²."""
    if not (math.isfinite(mean_squared_norm) and mean_squared_norm > 0):
        raise ConfigError(
            f"E||x||^2 = {mean_squared_norm}: activations that are all zero (or not finite) have no scale"
        )
    return math.sqrt(d_in / mean_squared_norm)


def variance_from_moments(mean: Float[Tensor, " d_in"], mean_squared_norm: float) -> float:
    """E‖x − mean‖² = E‖x‖² − ‖mean‖², in float64 and never below zero."""
    return max(0.0, mean_squared_norm - float(mean.double().square().sum()))


def moments(rows: Float[Tensor, "rows d_in"]) -> tuple[Float[Tensor, " d_in"], float]:
    """The mean of each dimension and E‖x‖² over `rows`, in float64."""
    if len(rows) == 0:
        raise ConfigError("a sample of 0 rows has no mean: give it at least one row")
    exact = float64(rows)
    return exact.mean(dim=0), float(exact.square().sum(dim=1).mean())


def scale_of(rows: Float[Tensor, "rows d_in"]) -> float:
    """s with E‖s·x‖² = d_in over a sample of rows."""
    return scale_from_moments(moments(rows)[1], rows.shape[1])


def variance_of(rows: Float[Tensor, "rows d_in"]) -> float:
    """E‖x − x̄‖² over a sample of rows, x̄ the mean of the whole sample. Zero for a single row."""
    exact = float64(rows)
    return float((exact - moments(rows)[0]).square().sum(dim=1).mean())
