"""Figures about training: what each level leaves unexplained, and how many latents are dead, as tokens go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from msae.plots.colors import level_color
from msae.plots.theme import level_dash, panel_layout

MOST_POINTS = 400
SERIES = (("fvu", "FVU", "%{y:.4f}"), ("dead_by_level", "dead latents", "%{y:,}"))


def training_figure(metrics: Sequence[Mapping[str, Any]], *, height: int = 300) -> go.Figure:
    """FVU (log scale) and dead latents of every level against tokens seen, from the rows of ``metrics.jsonl``.

    At most 400 points a curve, evenly spaced, the last among them.
    """
    rows = metrics[:: -max(1, -(-len(metrics) // MOST_POINTS))][::-1]
    drawn = make_subplots(rows=1, cols=len(SERIES), horizontal_spacing=0.12)
    drawn.update_layout(panel_layout(height))
    tokens = [row["tokens"] for row in rows]
    for column, (name, label, shape) in enumerate(SERIES, start=1):
        for level in range(len(rows[-1][name])):
            drawn.add_scatter(
                x=tokens,
                y=[row[name][level] for row in rows],
                name=f"level {level}",
                legendgroup=str(level),
                showlegend=column == 1,
                mode="lines",
                line={"color": level_color(level), "width": 2, "dash": level_dash(level)},
                hovertemplate=f"%{{x:,}} tokens: {label} {shape}<extra>level {level}</extra>",
                row=1,
                col=column,
            )
        drawn.update_yaxes(title=label, row=1, col=column)
    drawn.update_xaxes(title="tokens", rangemode="tozero")
    drawn.update_yaxes(type="log", row=1, col=1)
    drawn.update_yaxes(rangemode="tozero", row=1, col=2)
    return drawn
