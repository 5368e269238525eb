"""Measurements across levels, one a file. To add one: a frozen dataclass with `run`, and an entry in `MEASUREMENTS`."""

from msae.analysis.measurements.absorption import Absorption
from msae.analysis.measurements.explanations import Explanations
from msae.analysis.measurements.level_pairs import LevelPairs
from msae.analysis.measurements.protocol import Measurement, Result
from msae.analysis.measurements.rate_distortion import RateDistortion
from msae.analysis.measurements.splitting import Splitting
from msae.analysis.measurements.tree import Tree

MEASUREMENTS: tuple[type[Measurement], ...] = (Tree, Splitting, Absorption, LevelPairs, RateDistortion, Explanations)

__all__ = [
    "MEASUREMENTS",
    "Absorption",
    "Explanations",
    "LevelPairs",
    "Measurement",
    "RateDistortion",
    "Result",
    "Splitting",
    "Tree",
]
