"""Classification by level: accuracy against bytes with the point that early exit reaches, and what each class reads."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from msae.plots.theme import BLUE, LINE_WIDTH, MARKER_SIZE, ORANGE, Records, template

CLASSES_SHOWN = 30


def classification_figure(levels: Records, classes: Records, early_exit: tuple[float, float]) -> go.Figure:
    """`levels`, `classes`: rows of the tables ``classify_levels`` and ``classify_classes`` (deepest first); of many
    classes, the deepest and the shallowest. `early_exit`: bytes and accuracy when rows stop early."""
    half = CLASSES_SHOWN // 2
    some = list(classes) if len(classes) <= CLASSES_SHOWN else [*classes[:half], *classes[-half:]]
    which = "" if len(some) == len(classes) else f" ({half} deepest, {half} shallowest of {len(classes)})"
    titles = ("<b>Accuracy by level</b>", f"<b>Numbers read until a class's rows stop</b>{which}")
    figure = make_subplots(rows=1, cols=2, subplot_titles=titles, horizontal_spacing=0.3)
    figure.add_scatter(
        x=[row["bytes"] for row in levels],
        y=[row["accuracy"] for row in levels],
        name="all rows at one level",
        mode="lines+markers",
        line={"color": BLUE, "width": LINE_WIDTH},
        marker={"size": MARKER_SIZE},
        customdata=[row["width"] for row in levels],
        hovertemplate="%{customdata} numbers, %{x:,.1f} bytes<br>accuracy %{y:.3f}<extra></extra>",
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=[early_exit[0]],
        y=[early_exit[1]],
        name="early exit",
        mode="markers",
        marker={"color": ORANGE, "size": 1.6 * MARKER_SIZE, "symbol": "star"},
        hovertemplate="early exit<br>%{x:,.1f} bytes<br>accuracy %{y:.3f}<extra></extra>",
        row=1,
        col=1,
    )
    figure.add_bar(
        x=[row["expected_width"] for row in some],
        y=[row["class"] for row in some],
        orientation="h",
        marker={"color": BLUE},
        showlegend=False,
        customdata=[[row["rows"], row["z"]] for row in some],
        hovertemplate="%{y}<br>%{x:.1f} numbers<br>%{customdata[0]} rows, z %{customdata[1]:.1f}<extra></extra>",
        row=1,
        col=2,
    )
    figure.update_xaxes(title="bytes an item, log scale", type="log", row=1, col=1)
    figure.update_yaxes(title="accuracy", row=1, col=1)
    figure.update_xaxes(title="numbers a row, mean", row=1, col=2)
    figure.update_yaxes(autorange="reversed", type="category", row=1, col=2)
    height = max(480, 160 + 22 * len(some))
    figure.update_layout(template=template(), title="<b>What is kept at which level</b>", height=height)
    return figure
