"""Which rows are sinks: those of a norm so large that they rule every figure made of squares.

Attention sinks and "massive activations" (Sun et al. 2402.17762) are rows of up to a thousand times the usual norm, at
the first position of a context and at some tokens inside.
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from msae.core.numerics import float64

SINK_FACTOR = 10.0
"""A row is called a sink when its norm is above this many times the median norm."""


def norms_of(rows: Float[Tensor, "rows d_in"]) -> Float[Tensor, " rows"]:
    """‖x‖ of each row, summed in float64, as float32."""
    return float64(rows).norm(dim=1).float()


def sink_norm_of(norms: Float[Tensor, " rows"]) -> float:
    """The norm above which a row is called a sink; infinite without a row, or when more than half of them are zero."""
    return SINK_FACTOR * float(norms.median()) or math.inf if len(norms) else math.inf
