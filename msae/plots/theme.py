"""The common look of every figure, and how a figure becomes a file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from msae.core.files import write_atomically
from msae.plots.colors import NAMED

BLUE, ORANGE, GREEN, PURPLE, SKY = NAMED[:5]
PALETTE = (*NAMED[:6], "#000000")
"""Okabe and Ito's colours, distinguishable with any colour vision; figures also differ in marker and dash."""

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")

Records = Sequence[Mapping[str, Any]]
"""Rows of a table."""

INK, MUTED, GRID = "#1f2933", "#52606d", "#e4e7eb"
FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
LINE_WIDTH, MARKER_SIZE = 2.5, 9


@lru_cache(maxsize=1)
def template() -> go.layout.Template:
    """Light, large type, thin grid, no box. One object for all figures, which copy it: making it anew is slow."""
    axis = {
        "gridcolor": GRID,
        "linecolor": MUTED,
        "showline": True,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": MUTED,
        "ticklen": 4,
        "automargin": True,
        "title": {"font": {"size": 14, "color": INK}, "standoff": 10},
        "tickfont": {"size": 12.5, "color": MUTED},
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 14, "color": INK},
            "title": {"font": {"size": 19}, "x": 0.01, "xanchor": "left"},
            "colorway": PALETTE,
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"orientation": "h", "yanchor": "top", "y": -0.2, "x": 0, "font": {"size": 13}},
            "hoverlabel": {"bgcolor": "white", "bordercolor": GRID, "font": {"family": FONT, "size": 13}},
            "margin": {"l": 70, "r": 40, "t": 110, "b": 70},
        }
    )


def panel_layout(height: int, *, margin: dict[str, int] | None = None) -> dict[str, object]:
    """The layout of a small figure inside a page: no title, no background of its own, so that it fits light and dark
    (the page's style sheet colours its text and grid)."""
    clear = "rgba(0,0,0,0)"
    axis = {"title": {"font": {"size": 12}, "standoff": 8}, "tickfont": {"size": 11}}
    return {
        "template": template(),
        "height": height,
        "autosize": True,
        "paper_bgcolor": clear,
        "plot_bgcolor": clear,
        "font": {"size": 12},
        "xaxis": axis,
        "yaxis": axis,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "margin": margin or {"l": 56, "r": 12, "t": 30, "b": 44},
    }


def fraction_ticks() -> dict[str, list[Any]]:
    """Ticks at 1, 2 and 5 times powers of ten up to 10, for a logarithmic axis of fractions."""
    values = [digit * 10.0**power for power in range(-6, 1) for digit in (1, 2, 5)]
    return {"tickvals": values, "ticktext": [f"{value:g}" for value in values]}


def level_dash(level: int) -> str:
    """A level's dash, for those who do not see its colour."""
    return DASHES[level % len(DASHES)]


def write_html(figure: go.Figure, path: Path | str) -> Path:
    """Write `figure` as one HTML page with plotly.js inside it, whole or not at all, and return the path."""
    page = figure.to_html(
        include_plotlyjs=True, full_html=True, config={"displaylogo": False, "responsive": True}, div_id="figure"
    )
    write_atomically(Path(path), lambda temporary: _write_text(temporary, page))
    return Path(path)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
