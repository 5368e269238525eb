"""Figures as texts."""

from __future__ import annotations

import math


def share(value: float | None, digits: int = 3) -> str:
    """A share as a percentage that is never rounded to 0: ``0.0002%``."""
    if value is None or not math.isfinite(value):
        return "n/a"
    percent = 100 * value
    if 0 < percent < 10**-digits:
        return f"{percent:.1g}%"
    return f"{percent:.{digits}f}%"


def number(value: int | float | None, digits: int = 3) -> str:
    """A figure in a fixed number of places; n/a where there is none."""
    return "n/a" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def short(count: float) -> str:
    """A count in a few characters: 850, 1.5k, 20k, 3M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.4g}{letter}"
    return f"{count:.4g}"
