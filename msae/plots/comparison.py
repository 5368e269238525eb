"""Several runs, or the levels of one, side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Int
from plotly.subplots import make_subplots

from msae.plots.rate import add_rate_curves
from msae.plots.theme import (
    BLUE,
    DASHES,
    LINE_WIDTH,
    MARKER_SIZE,
    MUTED,
    PALETTE,
    SYMBOLS,
    Records,
    panel_layout,
    template,
)

PANELS = (
    ("fvu", "Variance left unexplained", "FVU, fraction of variance"),
    ("ce_recovered", "Cross-entropy recovered", "fraction of what zeros cost"),
    ("l0", "Latents that fire on a token", "L0"),
    ("dead", "Latents that never fire", "dead in the band a level adds"),
)
COLUMNS, PANEL_HEIGHT = 2, 400


def comparison_figure(levels: Records, rate: Records, overlap: Records) -> go.Figure:
    """`levels`, `rate`, `overlap`: the rows of the data frames of a `Comparison`. What no run has is left out."""
    panels = [panel for panel in PANELS if any(row[panel[0]] is not None for row in levels)]
    titles = [title for _, title, _ in panels] + ["What is lost, by what the codes cost", "Latents found again"]
    lines = -(-len(titles) // COLUMNS)
    figure = make_subplots(
        rows=lines,
        cols=COLUMNS,
        subplot_titles=[f"<b>{title}</b>" for title in titles],
        horizontal_spacing=0.14,
        vertical_spacing=0.42 / lines,
    )
    figure.update_annotations(font={"size": 15}, yshift=8)
    runs = list(dict.fromkeys(row["run"] for row in levels))
    for index, (name, _, label) in enumerate(panels):
        place = {"row": index // COLUMNS + 1, "col": index % COLUMNS + 1}
        for number, run in enumerate(runs):
            own = [row for row in levels if row["run"] == run]
            figure.add_trace(_by_width(own, name, run, number, shown=index == 0 and len(runs) > 1), **place)
        widths = sorted({row["width"] for row in levels})
        ticks = {"tickvals": widths, "ticktext": [f"{width:,}" for width in widths]}
        figure.update_xaxes(title="latents in the prefix, log scale", type="log", **ticks, **place)
        figure.update_yaxes(title=label, rangemode="normal" if name == "ce_recovered" else "tozero", **place)
    place = {"row": len(panels) // COLUMNS + 1, "col": len(panels) % COLUMNS + 1}
    series = {run if len(runs) > 1 else "": [row for row in rate if row["run"] == run] for run in runs}
    add_rate_curves(figure, series, lambda row: row["fvu"] or None, **place, shown=len(runs) == 1)
    figure.update_yaxes(title="FVU of rounded codes, log scale", **place)
    last = len(panels) + 1
    _found_again(figure, overlap, {"row": last // COLUMNS + 1, "col": last % COLUMNS + 1})
    title = {"text": "<b>Side by side</b>" if len(runs) > 1 else f"<b>The levels of {runs[0]}</b>"}
    figure.update_layout(template=template(), title=title, height=PANEL_HEIGHT * lines + 140)
    figure.update_layout(legend={"y": -0.12})
    return figure


def nearness_figure(
    columns: Mapping[str, np.ndarray],
    points: Mapping[str, Int[np.ndarray, " _"]],
    *,
    least_cosine: float | None,
    least_phi: float | None,
    height: int = 300,
) -> go.Figure:
    """A point a pair: cosine of the directions against phi of firing; for a panel.

    `columns`: cosine, phi, latent_a, latent_b of every pair. `points`: their places, by what they are called; the last
    kind is drawn faint. `least_cosine`, `least_phi`: what chance reaches, as dotted lines; None where that
    is not known.
    """
    figure = go.Figure(layout=panel_layout(height))
    looks = (*zip(PALETTE, SYMBOLS, strict=False),)
    for place, (name, own) in enumerate(points.items()):
        faint = place == len(points) - 1
        color, symbol = (MUTED, "circle-open") if faint else looks[place]
        figure.add_scatter(
            x=np.round(columns["cosine"][own].astype(float), 3).tolist(),
            y=np.round(columns["phi"][own].astype(float), 3).tolist(),
            customdata=np.stack([columns["latent_a"][own], columns["latent_b"][own]], axis=1).tolist(),
            name=name,
            mode="markers",
            marker={"color": color, "symbol": symbol, "size": 5 if faint else 7, "opacity": 0.55 if faint else 0.85},
            hovertemplate="%{customdata[0]} and %{customdata[1]}<br>cosine %{x:.3f}, phi %{y:.3f}"
            "<extra>%{fullData.name}</extra>",
        )
    line = {"color": MUTED, "width": 1, "dash": "dot"}
    if least_cosine is not None:
        figure.add_vline(x=least_cosine, line=line)
    if least_phi is not None:
        figure.add_hline(y=least_phi, line=line)
    figure.update_xaxes(title="cosine of the directions")
    figure.update_yaxes(title="phi of firing")
    return figure


def _by_width(rows: Records, value: str, run: str, number: int, *, shown: bool) -> go.Scatter:
    color = PALETTE[number % len(PALETTE)]
    return go.Scatter(
        x=[row["width"] for row in rows],
        y=[row[value] for row in rows],
        name=run,
        legendgroup=run,
        showlegend=shown,
        mode="lines+markers",
        line={"color": color, "width": LINE_WIDTH, "dash": DASHES[number % len(DASHES)]},
        marker={"color": color, "size": MARKER_SIZE, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        customdata=[[row["level"], row["l0"], row["fvu"]] for row in rows],
        hovertemplate="<b>" + run + "</b> level %{customdata[0]}, %{x:,} latents<br>%{y:.4g}<br>"
        "L0 %{customdata[1]:.2f}, FVU %{customdata[2]:.4f}<extra></extra>",
    )


def _found_again(figure: go.Figure, overlap: Records, place: dict[str, int]) -> None:
    """The share of a's live latents that are matched in b, as a map."""
    names = list(dict.fromkeys(row["a"] for row in overlap))
    share = {(row["a"], row["b"]): row["share"] for row in overlap}
    z = [[share.get((a, b)) for b in names] for a in names]
    heat = go.Heatmap(
        x=names,
        y=names,
        z=z,
        zmin=0,
        zmax=1,
        text=[["" if value is None else f"{100 * value:.0f}%" for value in row] for row in z],
        texttemplate="%{text}",
        colorscale=[[0, "white"], [1, BLUE]],
        showscale=False,
        hovertemplate="of the live latents of %{y}<br>%{z:.1%} are matched in %{x}<extra></extra>",
    )
    figure.add_trace(heat, **place)
    figure.update_yaxes(autorange="reversed", title="of the live latents of", **place)
    figure.update_xaxes(title="found in", **place)
