"""The measurements there are, one a file: what `analyze` runs, the docs describe and the contract tests go through.

To add one: a frozen dataclass with `tables`, `run` and `render`, and an entry in the list of what it measures.
"""

from msae.analysis.concepts.supervised import LABELLED_MEASUREMENTS
from msae.analysis.features.collection import COLLECTED_TABLES
from msae.analysis.features.explanations import Explanations
from msae.analysis.hierarchy.absorption import Absorption
from msae.analysis.hierarchy.level_pairs import LevelPairs
from msae.analysis.hierarchy.splitting import IndependentSplitting, Splitting
from msae.analysis.hierarchy.tree import Tree
from msae.analysis.levels.nest import TABLES as NEST_TABLES
from msae.analysis.levels.rate_distortion import RateDistortion
from msae.analysis.measurement import Measurement, Result
from msae.analysis.tables import TableSpec
from msae.analysis.truth.ground_truth import TRUTH_TABLES

MEASUREMENTS: tuple[type[Measurement], ...] = (Tree, Splitting, Absorption, LevelPairs, RateDistortion, Explanations)
"""Of a sample. `LABELLED_MEASUREMENTS`: of labelled rows; `INDEPENDENT_MEASUREMENTS`: of SAEs trained independently."""

INDEPENDENT_MEASUREMENTS: tuple[type[IndependentSplitting], ...] = (IndependentSplitting,)

TABLES: tuple[TableSpec, ...] = (
    *COLLECTED_TABLES,
    *(table for measurement in MEASUREMENTS for table in measurement.tables),
    *(table for measurement in LABELLED_MEASUREMENTS for table in measurement.tables),
    *(table for measurement in INDEPENDENT_MEASUREMENTS for table in measurement.tables),
    *NEST_TABLES,
    *TRUTH_TABLES,
)
"""Every table that an analysis can make."""

__all__ = [
    "INDEPENDENT_MEASUREMENTS",
    "LABELLED_MEASUREMENTS",
    "MEASUREMENTS",
    "TABLES",
    "Absorption",
    "Explanations",
    "IndependentSplitting",
    "LevelPairs",
    "Measurement",
    "RateDistortion",
    "Result",
    "Splitting",
    "Tree",
]
