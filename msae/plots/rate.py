"""Rate–distortion curves: what is lost against bits a token, a curve a level, its points from coarse to fine steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from msae.plots.theme import (
    DASHES,
    LINE_WIDTH,
    MARKER_SIZE,
    PALETTE,
    SYMBOLS,
    Records,
    fraction_ticks,
    panel_layout,
    template,
)


def rate_figure(series: Mapping[str, Records]) -> go.Figure:
    """The rows of table ``rate_distortion`` (several: by the name of their run) as curves of FVU and, where every
    series has it, of the cross-entropy lost, against bits a token."""
    measured = all(row["ce_recovered"] is not None for rows in series.values() for row in rows)
    panels = [("Variance left unexplained by rounded codes", "FVU, log scale", _fvu)]
    if measured:
        panels.append(("Cross-entropy lost with rounded codes", "1 − recovered, log scale", _lost))
    figure = make_subplots(rows=1, cols=len(panels), subplot_titles=[f"<b>{title}</b>" for title, _, _ in panels])
    for column, (_, label, value) in enumerate(panels, start=1):
        add_rate_curves(figure, series, value, row=1, col=column, shown=column == 1)
        figure.update_yaxes(title=label, row=1, col=column)
    title = "<b>What a level is worth at how many bits</b><br><sup>each point another quantiser step</sup>"
    figure.update_layout(template=template(), title=title, height=520)
    return figure


def compared_rate_figure(series: Mapping[str, Records], *, height: int = 300) -> go.Figure:
    """FVU against bits a token alone, for a panel: rows of ``rate_distortion`` by the name of their run."""
    figure = make_subplots(rows=1, cols=1)
    figure.update_layout(panel_layout(height, margin={"l": 60, "r": 12, "t": 46, "b": 44}))
    add_rate_curves(figure, series, _fvu, row=1, col=1, shown=True)
    figure.update_yaxes(title="FVU of rounded codes, log scale")
    return figure


def add_rate_curves(
    figure: go.Figure, series: Mapping[str, Records], value: Any, *, row: int, col: int, shown: bool
) -> None:
    """Draw `value` of every record against its bits into one panel; `shown`: in the legend too."""
    levels = sorted({record["level"] for rows in series.values() for record in rows})
    for s, (name, rows) in enumerate(series.items()):
        for level in levels:
            own = [record for record in rows if record["level"] == level and record["bits"] is not None]
            if not own:
                continue
            # One series: levels differ in colour. Several: series do, and levels in dash and symbol.
            color = PALETTE[(s if len(series) > 1 else level) % len(PALETTE)]
            label = f"level {level}, {own[0]['width']:,} latents"
            curve = go.Scatter(
                x=[record["bits"] for record in own],
                y=[value(record) for record in own],
                name=f"{name}: {label}" if name else label,
                mode="lines+markers",
                line={"color": color, "width": LINE_WIDTH, "dash": DASHES[level % len(DASHES)]},
                marker={"color": color, "size": MARKER_SIZE, "symbol": SYMBOLS[level % len(SYMBOLS)]},
                customdata=[[record["step_over_rms"]] for record in own],
                hovertemplate="%{x:.1f} bits a token, %{y:.4f} lost<br>step %{customdata[0]:g} × rms"
                "<extra>%{fullData.name}</extra>",
                legendgroup=f"{name}/{level}",
                showlegend=shown,
            )
            figure.add_trace(curve, row=row, col=col)
    figure.update_xaxes(title="bits a token, upper bound", rangemode="tozero", row=row, col=col)
    figure.update_yaxes(type="log", **fraction_ticks(), row=row, col=col)


def _fvu(record: Mapping[str, Any]) -> float | None:
    return record["fvu"] if record["fvu"] > 0 else None


def _lost(record: Mapping[str, Any]) -> float | None:
    lost = 1 - record["ce_recovered"]
    return lost if lost > 0 else None
