"""Curves side by side on one pair of axes: a colour for what is compared, a dash for what is compared about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from msae.plots.theme import DASHES, LINE_WIDTH, MARKER_SIZE, PALETTE, template


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line. Curves with the same `subject` share a colour, with the same `aspect` a dash."""

    subject: str
    aspect: str
    x: Sequence[int | float]
    y: Sequence[int | float]


def curves_figure(
    curves: Sequence[Curve],
    *,
    title: str,
    x: str,
    y: str,
    x_scale: Literal["linear", "log"] = "linear",
    y_scale: Literal["linear", "log"] = "linear",
) -> go.Figure:
    """`curves` on one pair of axes named `x` and `y`; subjects or aspects beyond the looks there are begin again."""
    subjects = list(dict.fromkeys(curve.subject for curve in curves))
    aspects = list(dict.fromkeys(curve.aspect for curve in curves))
    figure = go.Figure()
    for curve in curves:
        color = PALETTE[subjects.index(curve.subject) % len(PALETTE)]
        name = ", ".join(part for part in (curve.subject, curve.aspect) if part)
        figure.add_scatter(
            x=list(curve.x),
            y=list(curve.y),
            name=name,
            mode="lines+markers",
            line={"color": color, "width": LINE_WIDTH, "dash": DASHES[aspects.index(curve.aspect) % len(DASHES)]},
            marker={"color": color, "size": MARKER_SIZE},
            hovertemplate=f"<b>{name}</b><br>{x} %{{x:.4g}}<br>{y} %{{y:.4g}}<extra></extra>",
        )
    figure.update_layout(template=template(), title=f"<b>{title}</b>", height=640)
    figure.update_xaxes(title=x, type=x_scale)
    figure.update_yaxes(title=y, type=y_scale)
    return figure
