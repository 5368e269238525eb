"""The overview of a run: what its levels are worth, how often latents fire, how it trained, what it was made from."""

from __future__ import annotations

from msae_dashboards.pages.overview import density_by_level, fingerprint, level_table, rate_distortion, training_curves
from msae_dashboards.pages.page import Page
from msae_dashboards.pages.panel import Visit
from msae_dashboards.view.nodes import Body, Content, Stack

PANELS = (
    level_table.PANEL,
    rate_distortion.PANEL,
    density_by_level.PANEL,
    training_curves.PANEL,
    fingerprint.PANEL,
)


def body(visit: Visit) -> Body:
    """Two columns: figures, and next to them what they were made from."""
    left: list[Content] = [
        visit.show(level_table.PANEL),
        Stack(visit.show(rate_distortion.PANEL, density_by_level.PANEL), "pair"),
        visit.show(training_curves.PANEL),
    ]
    columns = Stack([Stack(left, "column"), visit.show(fingerprint.PANEL)], "overview")
    return Body("Run", columns, name=visit.tables.title)


PAGE = Page(name="", title="Overview", panels=PANELS, body=body)
