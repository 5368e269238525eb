"""Figures about latents: how often they fire."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from msae.plots.colors import level_color
from msae.plots.theme import LINE_WIDTH, level_dash, panel_layout

DENSITY_BINS = 40


def density_figure(density_by_level: Mapping[int, Float[np.ndarray, " latents"]], *, height: int = 300) -> go.Figure:
    """A step histogram of log10 density a level, as the share of the level's latents in each bin. Densities > 0."""
    drawn = go.Figure(layout=panel_layout(height))
    values = {level: np.log10(density) for level, density in density_by_level.items() if len(density)}
    if not values:
        return drawn
    lowest = min(float(of_level.min()) for of_level in values.values())
    edges = np.linspace(np.floor(lowest * 2) / 2, 0, DENSITY_BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    for level, of_level in values.items():
        counts, _ = np.histogram(of_level, edges)
        hover = "10<sup>%{x:.2f}</sup> of tokens: %{customdata:,} latents<extra>level " + str(level) + "</extra>"
        line = {"color": level_color(level), "width": LINE_WIDTH, "shape": "hvh", "dash": level_dash(level)}
        drawn.add_scatter(
            x=middles,
            y=counts / len(of_level),
            customdata=counts,
            name=f"level {level}",
            mode="lines",
            line=line,
            hovertemplate=hover,
        )
    powers = np.arange(np.ceil(edges[0]), 1)
    ticks = {"tickvals": powers, "ticktext": [_percent(10.0**power) for power in powers]}
    drawn.update_xaxes(title="share of tokens on which a latent fires", **ticks)
    drawn.update_yaxes(title="share of the level's latents", tickformat=".0%", rangemode="tozero")
    return drawn


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
