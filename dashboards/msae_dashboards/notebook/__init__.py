"""A run in a notebook: a feature's panels or a text at every level in a cell, or the whole app in a frame."""

from msae_dashboards.notebook.cell import FeatureCell, NestCell, feature, nest
from msae_dashboards.notebook.frame import Embedded, embed

__all__ = ["Embedded", "FeatureCell", "NestCell", "embed", "feature", "nest"]
