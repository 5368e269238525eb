"""Which share of each side's latents is found again in each other: a map, whose cells choose the two looked at."""

from __future__ import annotations

from typing import Any

from msae_dashboards.pages.compare.compared import Compared
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number, share
from msae_dashboards.view.nodes import Cell, Content, HeatTable, Paragraph


def render(visit: Visit) -> Content:
    """A square of sides, and what counts as found."""
    compared = Compared.of(visit)
    overlap = compared.overlap(visit.tables)
    places = range(len(compared.sides))
    columns: list[Content] = ["latents of", *(["in ", side.shown] for side in compared.sides)]
    rows = [(compared.sides[a].shown, [_cell(compared, overlap, a, b) for b in places]) for a in places]
    explained = (
        "Found again: each the other's nearest, by direction or by firing, and nearer than the nearest is by chance "
        "(99.9th percentile for the two groups). A cell picks two."
    )
    return [HeatTable("Share of live latents found again", columns, rows), Paragraph(explained, "note")]


def _cell(compared: Compared, overlap: dict[tuple[int, int], dict[str, Any]], a: int, b: int) -> Cell:
    row = overlap.get((a, b))
    if a == b or row is None:
        return Cell()
    value = row["share"]
    meaning = f"{row['matched']:,} of {row['live']:,} live latents are found again, {row['by_both']:,} by both measures"
    if "expected" in row:
        meaning += f"; chance gives {number(row['expected'], 1)}"
    return Cell(
        "n/a" if value is None else share(value, 0),
        value or 0.0,
        compared.href(a=str(a), b=str(b), level=""),
        meaning,
        here=(a, b) == (compared.a, compared.b),
    )


PANEL = Panel(
    name="compare-map",
    title="Found again",
    about="run",
    needs=("features", "level_pairs", "level_overlap"),
    render=render,
    hint="Of the latents of a row's side that fire, the share that has a counterpart in the column's side",
)
