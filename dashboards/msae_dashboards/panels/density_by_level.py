"""How often latents fire, level by level."""

from __future__ import annotations

import numpy as np
from dash import html
from dash.development.base_component import Component

from msae.plots.features import density_figure
from msae_dashboards.address import Address
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import figure, share
from msae_dashboards.tables import RunTables


def render(tables: RunTables, address: Address) -> Component:
    """A histogram of log10 density a level; latents that never fire are counted beside it."""
    features = tables.features()
    levels = range(features.n_levels)
    by_level = {level: features.density[(features.level == level) & features.alive] for level in levels}
    silent = ", ".join(
        f"{int((~features.alive & (features.level == level)).sum()):,} of level {level}" for level in levels
    )
    medians = "; ".join(
        f"level {level}: median {share(float(np.median(values)))}" for level, values in by_level.items() if len(values)
    )
    drawn = figure(density_figure(by_level), label=f"Histogram of activation densities. {medians}", height=300)
    return html.Div([drawn, html.P(f"Never fire: {silent}.", className="note")])


PANEL = Panel(
    name="density-by-level",
    title="Activation density",
    about="run",
    needs=("features",),
    render=render,
    hint="On what share of tokens each latent fires",
)
