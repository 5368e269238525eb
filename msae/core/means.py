"""Means of a table's figures, and their standard errors; None where there are too few values to say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def mean(values: Sequence[float | int] | np.ndarray) -> float | None:
    """None without a value."""
    return float(np.mean(values, dtype=np.float64)) if len(values) else None


def standard_error(values: Sequence[float | int] | np.ndarray) -> float | None:
    """Standard error of the mean; None below two values."""
    return float(np.std(values, ddof=1, dtype=np.float64) / len(values) ** 0.5) if len(values) > 1 else None
