"""A run in a notebook: one feature's panels in a cell, or the whole app in a frame."""

from msae_dashboards.notebook.cell import FeatureCell, feature
from msae_dashboards.notebook.frame import Embedded, embed

__all__ = ["Embedded", "FeatureCell", "embed", "feature"]
