"""Measurements across levels, one a file. To add one: a frozen dataclass with `run`, and an entry in `MEASUREMENTS`."""

from msae.analysis.features.explanations import Explanations
from msae.analysis.hierarchy.absorption import Absorption
from msae.analysis.hierarchy.level_pairs import LevelPairs
from msae.analysis.hierarchy.splitting import Splitting
from msae.analysis.hierarchy.tree import Tree
from msae.analysis.levels.rate_distortion import RateDistortion
from msae.analysis.measurement import Measurement, Result

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
