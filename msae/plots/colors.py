"""The colour of every level, however many there are. The one place where they are defined: figures and pages use it."""

from __future__ import annotations

import math

NAMED = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7B8794")
"""Okabe and Ito's colours, told apart with any colour vision, and a grey."""

LIGHTNESSES, CHROMA = (0.52, 0.68, 0.6), 0.12
GOLDEN = 360 * (3 - math.sqrt(5)) / 2
"""The golden angle in degrees: hues that far apart never come near an earlier one."""


def level_color(level: int) -> str:
    """A level's colour, as ``#rrggbb``. Levels beyond those of `NAMED` have hues the golden angle apart."""
    if level < len(NAMED):
        return NAMED[level]
    beyond = level - len(NAMED)
    return _srgb(LIGHTNESSES[beyond % len(LIGHTNESSES)], CHROMA, math.radians(20 + GOLDEN * beyond))


def _srgb(lightness: float, chroma: float, hue: float) -> str:
    """From Oklch (Ottosson, 2020: https://bottosson.github.io/posts/oklab/), cut to what a screen shows."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(min(max(part, 0.0), 1.0))):02X}" for part in linear)


def _gamma(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
