"""Figures measured with several seeds: every seed a dot, and their mean with its standard deviation over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from msae.plots.theme import MARKER_SIZE, MUTED, PALETTE, SYMBOLS, template

PANEL_HEIGHT, SPREAD = 330, 0.22


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One measurement. `values`: by series and group, a value a seed. `null`: what chance gives, by series and group,
    drawn as a bar; what a series has no value for is left out."""

    title: str
    label: str
    values: Mapping[str, Mapping[str, Sequence[float]]]
    null: Mapping[str, Mapping[str, Sequence[float]]] | None = None


def seeds_figure(panels: Sequence[Panel], groups: Sequence[str], *, title: str, columns: int = 2) -> go.Figure:
    """`panels` with the `groups` side by side on their x axes, and the series of a group next to each other."""
    lines = -(-len(panels) // columns)
    figure = make_subplots(
        rows=lines,
        cols=columns,
        subplot_titles=[f"<b>{panel.title}</b>" for panel in panels],
        horizontal_spacing=0.11,
        vertical_spacing=0.33 / lines,
    )
    figure.update_annotations(font={"size": 15}, yshift=6)
    for index, panel in enumerate(panels):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        for number, series in enumerate(panel.values):
            shift = (number - (len(panel.values) - 1) / 2) * SPREAD
            for trace in _traces(panel, series, number, groups, shift, shown=index == 0):
                figure.add_trace(trace, **place)
        names = [group.replace(", ", ",<br>") for group in groups]
        ticks = {"tickvals": list(range(len(groups))), "ticktext": names, "tickangle": 0}
        figure.update_xaxes(**ticks, range=[-0.6, len(groups) - 0.4], showgrid=False, **place)
        figure.update_yaxes(title=panel.label, rangemode="tozero", **place)
    marks = "mean and standard deviation over seeds, each a dot"
    marks += "; grey: by chance" if any(panel.null for panel in panels) else ""
    figure.update_layout(template=template(), title=f"<b>{title}</b><br><sup>{marks}</sup>")
    figure.update_layout(height=PANEL_HEIGHT * lines + 130, legend={"y": -0.3 / lines})
    return figure


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and the standard deviation over seeds (0 of one)."""
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def _traces(
    panel: Panel, series: str, number: int, groups: Sequence[str], shift: float, *, shown: bool
) -> list[go.Scatter]:
    color, own = PALETTE[number % len(PALETTE)], panel.values[series]
    there = [(place, group) for place, group in enumerate(groups) if own.get(group)]
    means = [mean_and_sd(own[group]) for _, group in there]
    seeds = go.Scatter(
        x=[place + shift + 0.06 for place, group in there for _ in own[group]],
        y=[value for _, group in there for value in own[group]],
        mode="markers",
        marker={"color": color, "size": 4, "opacity": 0.55},
        legendgroup=series,
        showlegend=False,
        hovertemplate="a seed: %{y:.4g}<extra>" + series + "</extra>",
    )
    mean = go.Scatter(
        x=[place + shift for place, _ in there],
        y=[mean for mean, _ in means],
        error_y={"type": "data", "array": [sd for _, sd in means], "thickness": 1.8, "width": 5},
        name=series,
        mode="markers",
        marker={"color": color, "size": MARKER_SIZE, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        legendgroup=series,
        showlegend=shown,
        customdata=[[group, sd] for (_, group), (_, sd) in zip(there, means, strict=True)],
        hovertemplate="%{customdata[0]}: %{y:.4g} ± %{customdata[1]:.2g}<extra>" + series + "</extra>",
    )
    chance = (panel.null or {}).get(series, {})
    bars = [(place, mean_and_sd(chance[group])[0]) for place, group in there if chance.get(group)]
    if not bars:
        return [seeds, mean]
    by_chance = go.Scatter(
        x=[place + shift for place, _ in bars],
        y=[value for _, value in bars],
        name="by chance",
        mode="markers",
        marker={"symbol": "line-ew-open", "size": 14, "color": MUTED, "line": {"width": 2}},
        legendgroup="by chance",
        showlegend=False,
        hovertemplate="by chance: %{y:.4g}<extra>" + series + "</extra>",
    )
    return [seeds, mean, by_chance]
