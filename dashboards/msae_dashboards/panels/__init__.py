"""The panels: one a file, each ending in its `PANEL`. To add one, write its file and list it here."""

from msae_dashboards.panels import (
    activation_histogram,
    cofiring,
    density_by_level,
    examples,
    family,
    fingerprint,
    level_table,
    logit_histogram,
    logits,
    neighbours,
    rate_distortion,
    summary,
    training_curves,
)
from msae_dashboards.panels.panel import Panel, missing, show

PANELS: tuple[Panel, ...] = (
    level_table.PANEL,
    rate_distortion.PANEL,
    density_by_level.PANEL,
    training_curves.PANEL,
    fingerprint.PANEL,
    summary.PANEL,
    activation_histogram.PANEL,
    logit_histogram.PANEL,
    logits.PANEL,
    neighbours.PANEL,
    cofiring.PANEL,
    family.PANEL,
    examples.PANEL,
)

__all__ = ["PANELS", "Panel", "missing", "show"]
