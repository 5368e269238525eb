"""How often latents fire, level by level."""

from __future__ import annotations

import numpy as np

from msae.plots.features import density_figure
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import share
from msae_dashboards.view.nodes import Content, Figure, Paragraph


def render(visit: Visit) -> Content:
    """A histogram of log10 density a level; latents that never fire are counted below it."""
    features = visit.tables.features()
    levels = range(features.n_levels)
    by_level = {level: features.density[(features.level == level) & features.alive] for level in levels}
    silent = ", ".join(
        f"{int((~features.alive & (features.level == level)).sum()):,} of level {level}" for level in levels
    )
    medians = "; ".join(
        f"level {level}: median {share(float(np.median(values)))}" for level, values in by_level.items() if len(values)
    )
    drawn = Figure(density_figure(by_level), f"Histogram of activation densities. {medians}")
    return [drawn, Paragraph(f"Never fire: {silent}.", "note")]


PANEL = Panel(
    name="density-by-level",
    title="Activation density",
    about="run",
    needs=("features",),
    render=render,
    hint="On what share of tokens each latent fires",
)
