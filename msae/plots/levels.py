"""What each level is worth, as figures: fidelity against width, L0 by level, and what is lost against bits a token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from msae.analysis.levels.level_table import LevelRow, LevelTable
from msae.core.checked import checked
from msae.plots.theme import (
    BLUE,
    GREEN,
    LINE_WIDTH,
    MARKER_SIZE,
    MUTED,
    ORANGE,
    SKY,
    fraction_ticks,
    panel_layout,
    template,
)

Rows = Sequence[LevelRow]
Place = dict[str, int]

PANEL_HEIGHT, COLUMNS = 420, 2


@checked
def levels_figure(table: LevelTable) -> go.Figure:
    """Every figure of `table` on one page: FVU and CE recovered by width, L0 by level, what is lost by bits a token.

    What does not apply (CE, for a source without a language head) is left out.
    """
    panels = [("Variance left unexplained", _unexplained), ("Latents that fire on a token", _l0)]
    if has_ce(table.levels):
        panels.insert(1, ("Cross-entropy recovered", _recovered))
    panels.append(("What is lost, by what the codes cost", _rate))
    lines = -(-len(panels) // COLUMNS)
    figure = make_subplots(
        rows=lines,
        cols=COLUMNS,
        subplot_titles=[f"<b>{title}</b>" for title, _ in panels],
        horizontal_spacing=0.12,
        vertical_spacing=0.2,
    )
    figure.update_annotations(font={"size": 15}, yshift=8)
    for title, axis in zip(figure.layout.annotations, figure.select_xaxes(), strict=False):
        title.update(x=axis.domain[0], xanchor="left")
    figure.update_layout(template=template(), title=_title(table), height=PANEL_HEIGHT * lines + 120, barmode="stack")
    for index, (_, draw) in enumerate(panels):
        draw(figure, table.levels, {"row": index // COLUMNS + 1, "col": index % COLUMNS + 1})
    return figure


def rate_figure(table: LevelTable, *, height: int = 300) -> go.Figure:
    """What is lost by bits a token alone, for a panel."""
    figure = make_subplots(rows=1, cols=1)
    figure.update_layout(panel_layout(height))
    _rate(figure, table.levels, {"row": 1, "col": 1})
    for index, _ in enumerate(figure.data):
        figure.data[index].legend = "legend"
    return figure


def has_ce(rows: Rows) -> bool:
    """Whether every level has its cross-entropy recovered."""
    return all(row.ce_recovered is not None for row in rows)


def _unexplained(figure: go.Figure, rows: Rows, place: Place) -> None:
    values = [row.fvu for row in rows]
    figure.add_trace(_by_width(rows, values, BLUE), **place)
    _width_axis(figure, rows, place)
    figure.update_yaxes(title="FVU, fraction of variance", range=[0, 1.18 * max(values)], **place)


def _recovered(figure: go.Figure, rows: Rows, place: Place) -> None:
    values = [row.ce_recovered or 0.0 for row in rows]
    figure.add_trace(_by_width(rows, values, GREEN), **place)
    figure.add_hline(y=1, line={"color": MUTED, "width": 1, "dash": "dot"}, **place)
    _width_axis(figure, rows, place)
    height = max(1.0, *values) - min(values)
    axis_range = [min(values) - 0.1 * height, max(1.0, *values) + 0.18 * height]
    figure.update_yaxes(title="fraction of what zeros cost", range=axis_range, **place)


def _l0(figure: go.Figure, rows: Rows, place: Place) -> None:
    names = [f"level {row.level}<br>{row.width:,} latents" for row in rows]
    inner = [0.0, *(row.l0 for row in rows[:-1])]
    added = [row.l0 - before for row, before in zip(rows, inner, strict=True)]
    legend = _legend(figure, place, "top")
    for values, name, color in ((inner, "of the levels before", SKY), (added, "of the band it adds", BLUE)):
        hover = "%{y:.2f} " + name + "<extra></extra>"
        bar = go.Bar(x=names, y=values, name=name, marker={"color": color}, hovertemplate=hover, legend=legend)
        figure.add_trace(bar, **place)
    for name, row in zip(names, rows, strict=True):
        label = {"text": f"{row.l0:.1f}", "font": {"size": 12, "color": MUTED}}
        figure.add_annotation(x=name, y=row.l0, **label, showarrow=False, yshift=10, **place)
    figure.update_yaxes(title="L0, latents a token", range=[0, 1.3 * max(1e-9, *(row.l0 for row in rows))], **place)


def _rate(figure: go.Figure, rows: Rows, place: Place) -> None:
    legend = _legend(figure, place, "bottom")
    curves = [("variance, FVU of rounded codes", [row.fvu_quantised for row in rows], BLUE, "circle", "solid")]
    if has_ce(rows):
        curves.append((*_cross_entropy_lost(rows), ORANGE, "diamond", "dash"))
    for name, values, color, symbol, dash in curves:
        curve = go.Scatter(
            x=[row.bits for row in rows],
            y=[value if value > 0 else None for value in values],
            name=name,
            mode="lines+markers",
            line={"color": color, "width": LINE_WIDTH, "dash": dash},
            marker={"color": color, "size": MARKER_SIZE, "symbol": symbol},
            customdata=[[row.level, row.width] for row in rows],
            hovertemplate="<b>level %{customdata[0]}</b>, %{customdata[1]:,} latents<br>%{x:.1f} bits a token, "
            "%{y:.4f} lost<extra></extra>",
            legend=legend,
        )
        figure.add_trace(curve, **place)
    figure.update_xaxes(title="bits a token, upper bound", rangemode="tozero", **place)
    figure.update_yaxes(title="fraction lost, log scale", type="log", **fraction_ticks(), **place)


def _cross_entropy_lost(rows: Rows) -> tuple[str, list[float]]:
    """1 − CE recovered, of the rounded codes where that was measured."""
    if any(row.ce_quantised is None for row in rows):
        return "cross-entropy, 1 − recovered", [1 - (row.ce_recovered or 0.0) for row in rows]
    losses = [(row.ce_clean or 0.0, row.ce_quantised or 0.0, row.ce_zero or 0.0) for row in rows]
    return "cross-entropy, 1 − recovered, of rounded codes", [
        (mine - clean) / (zero - clean) for clean, mine, zero in losses
    ]


def _by_width(rows: Rows, values: Sequence[float], color: str) -> go.Scatter:
    return go.Scatter(
        x=[row.width for row in rows],
        y=values,
        mode="lines+markers+text",
        text=[f"{value:.3f}" for value in values],
        textposition="top center",
        textfont={"size": 12, "color": MUTED},
        line={"color": color, "width": LINE_WIDTH},
        marker={"color": color, "size": MARKER_SIZE},
        customdata=[[row.level, _details(row)] for row in rows],
        hovertemplate="<b>level %{customdata[0]}</b>, %{x:,} latents<br>%{customdata[1]}<extra></extra>",
        showlegend=False,
        cliponaxis=False,
    )


def _details(row: LevelRow) -> str:
    lines = [f"FVU {row.fvu:.4f}, cosine {row.cosine:.3f}", f"L0 {row.l0:.2f}, {row.bits:.1f} bits a token"]
    if row.ce_sae is not None and row.ce_recovered is not None and row.kl is not None:
        lines.append(f"CE {row.ce_sae:.3f} nats, recovered against zeros {row.ce_recovered:.4f}, KL {row.kl:.4f}")
    if row.ce_lost is not None and row.ce_recovered_unigram is not None:
        lines.append(f"{row.ce_lost:.3f} nats lost, recovered against a unigram {row.ce_recovered_unigram:.4f}")
    lines.append(f"of the {row.band_width:,} it adds: {row.dead:,} dead, {row.dense:,} dense")
    return "<br>".join(lines)


def _width_axis(figure: go.Figure, rows: Rows, place: Place) -> None:
    widths = [row.width for row in rows]
    figure.update_xaxes(
        title="latents in the prefix, log scale",
        type="log",
        tickvals=widths,
        ticktext=[f"{width:,}" for width in widths],
        **place,
    )


def _legend(figure: go.Figure, place: Place, side: Literal["top", "bottom"]) -> str:
    """A legend inside the panel, in its left corner at the top or bottom; returns its name."""
    subplot = figure.get_subplot(**place)
    name = f"legend{2 + COLUMNS * (place['row'] - 1) + place['col']}"
    bottom, top = subplot.yaxis.domain
    corner = {"x": subplot.xaxis.domain[0] + 0.01, "xanchor": "left", "y": top if side == "top" else bottom + 0.01}
    look = {"orientation": "v", "bgcolor": "rgba(255,255,255,0.8)", "yanchor": side}
    figure.update_layout({name: look | corner})
    return name


def _title(table: LevelTable) -> dict[str, object]:
    sample = table.sample
    where = " ".join(part for part in (sample.model, sample.hook_name) if part)
    subtitle = f"{sample.n_tokens:,} tokens" + (f" of {where}" if where else "")
    return {"text": f"<b>What each level is worth</b><br><sup>{subtitle}</sup>", "y": 0.965, "yanchor": "top"}
