"""The feature browser: every latent, to filter, search and sort."""

from __future__ import annotations

from msae_dashboards.pages.features import index
from msae_dashboards.pages.page import Page
from msae_dashboards.pages.panel import Visit
from msae_dashboards.view.controls import Controls, Place, Several
from msae_dashboards.view.nodes import Body, LevelChip

COUNT = Place("count", kind="count", spoken=True)


def body(visit: Visit) -> Body:
    """The latents as a table, for a page's script to filter; in the app a grid takes its place (`app/grid.py`)."""
    features = visit.tables.features()
    levels = sorted({int(features.level[latent]) for latent in visit.among or range(len(features))})
    options = [(str(level), LevelChip(level)) for level in levels]
    chosen = [str(level) for level in visit.address.numbers("level")]
    head = [Controls(Several("level", "Levels shown", options, chosen), search=True), COUNT]
    return Body("Features", visit.show(index.PANEL), head=head)


PAGE = Page(name="features", title="Features", panels=(index.PANEL,), body=body)
