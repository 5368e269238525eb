"""Labelled concepts by level: how well few latents tell them, and how much is absorbed, by each definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from msae.analysis.concepts.concept_absorption_tables import ALL
from msae.analysis.tables import Status
from msae.plots.colors import level_color
from msae.plots.theme import DASHES, LINE_WIDTH, MARKER_SIZE, MUTED, PALETTE, SYMBOLS, Records, template


def concepts_figure(probes: Mapping[str, Any], absorption: Mapping[str, Any]) -> go.Figure:
    """The tables ``concepts`` and ``concept_absorption_levels`` drawn: the F1 of each level's best sparse probe against
    that of the probe on the activations, a point a concept, and the rates by level."""
    figure = make_subplots(
        rows=1,
        cols=2,
        subplot_titles=["<b>How well few latents tell a concept</b>", "<b>Absorbed, by definition</b>"],
        horizontal_spacing=0.12,
    )
    add_separation(figure, probes["concepts"].to_pylist(), row=1, col=1)
    add_absorption(figure, absorption["concept_absorption_levels"].to_pylist(), row=1, col=2)
    title = "<b>Labelled concepts at each level</b><br><sup>on documents that no probe was fitted on</sup>"
    figure.update_layout(template=template(), title=title, height=560)
    return figure


def add_separation(figure: go.Figure, concepts: Records, *, row: int, col: int) -> None:
    """A point for each measured concept and level, levels by colour and symbol."""
    measured = [concept for concept in concepts if concept["status"] == Status.OK]
    for level in range(max((len(concept["level_f1"]) for concept in measured), default=0)):
        own = [concept for concept in measured if concept["level_f1"][level] is not None]
        points = go.Scatter(
            x=[concept["probe_f1"] for concept in own],
            y=[concept["level_f1"][level] for concept in own],
            name=f"level {level}",
            mode="markers",
            marker={"color": level_color(level), "size": MARKER_SIZE, "symbol": SYMBOLS[level % len(SYMBOLS)]},
            customdata=[[concept["concept"], concept["level_k"][level]] for concept in own],
            hovertemplate="<b>%{customdata[0]}</b><br>probe on activations %{x:.3f}<br>%{customdata[1]} latents of "
            f"level {level}: %{{y:.3f}}<extra></extra>",
        )
        figure.add_trace(points, row=row, col=col)
    line = {"color": MUTED, "width": 1, "dash": "dot"}
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line=line, row=row, col=col)
    figure.update_xaxes(title="F1 of a probe on the activations", range=[0.55, 1.02], row=row, col=col)
    figure.update_yaxes(title="F1 of the level's best sparse probe", range=[0, 1.05], row=row, col=col)


def add_absorption(figure: go.Figure, levels: Records, *, row: int, col: int) -> None:
    """A curve for each definition over all concepts, with standard errors, and dotted what chance gives."""
    overall = [record for record in levels if record["family"] == ALL and not record["of_children"]]
    for i, definition in enumerate(dict.fromkeys(record["definition"] for record in overall)):
        own = [record for record in overall if record["definition"] == definition and record["rate"] is not None]
        color, symbol = PALETTE[i % len(PALETTE)], SYMBOLS[i % len(SYMBOLS)]
        for name, values, dash, errors in (
            (definition, "rate", DASHES[i % len(DASHES)], [record["rate_error"] for record in own]),
            (f"{definition}, by chance", "null_rate", "dot", None),
        ):
            known = [record for record in own if record[values] is not None]
            if not known:
                continue
            curve = go.Scatter(
                x=[record["level"] for record in known],
                y=[record[values] for record in known],
                error_y={"type": "data", "array": errors, "thickness": 1} if errors else None,
                name=name,
                mode="lines+markers",
                line={"color": color, "width": LINE_WIDTH if errors else 1, "dash": dash},
                marker={"color": color, "size": MARKER_SIZE if errors else 4, "symbol": symbol},
                customdata=[[record["concepts"], record["l0"]] for record in known],
                hovertemplate=f"<b>{name}</b>, level %{{x}}<br>%{{y:.4f}} over %{{customdata[0]}} concepts, L0 "
                "%{customdata[1]:.2f}<extra></extra>",
            )
            figure.add_trace(curve, row=row, col=col)
    figure.update_xaxes(title="level", dtick=1, row=row, col=col)
    figure.update_yaxes(title="mean rate over concepts", rangemode="tozero", row=row, col=col)
