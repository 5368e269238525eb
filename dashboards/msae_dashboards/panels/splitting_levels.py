"""Splitting in numbers: every pair of levels beside chance, and the same between SAEs that were trained apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from dash import html
from dash.development.base_component import Component

from msae.analysis.hierarchy.splitting import SPLITTING_LEVELS
from msae.analysis.tables import Column, Status
from msae_dashboards.address import Address
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import Content, level_chip, number, small_table
from msae_dashboards.tables import RunTables

INDEPENDENT = "splitting_independent_levels"
COLUMNS = {
    "n_parents": ("parents", 0),
    "with_children": ("with children", 0),
    "split": ("split", 0),
    "edges": ("edges", 0),
    "edges_by_chance": ("by chance", 0),
    "children_per_parent": ("children / parent", 2),
    "coverage": ("coverage", 3),
    "null_coverage": ("by chance", 3),
    "overlap": ("overlap", 3),
    "entropy": ("entropy, bits", 2),
}


def render(tables: RunTables, address: Address) -> Component:
    """One row a pair of levels; below, one a pair of SAEs."""
    own = pairs_of_levels(
        tables.table("splitting_levels"), SPLITTING_LEVELS.columns, COLUMNS, "Splitting between levels"
    )
    if not tables.has(INDEPENDENT):
        said = (
            "Beside SAEs of the same widths that were trained apart: train them with ",
            html.Code(f"msae train --independent {tables.title}", className="shell"),
            ", then analyze the run again.",
        )
        return html.Div([own, html.P(said, className="note")])
    apart = pairs_of_levels(
        tables.table(INDEPENDENT), SPLITTING_LEVELS.columns, COLUMNS, "Splitting between independent SAEs"
    )
    title = "The same between SAEs of these widths that were trained apart: a child is any latent of the wider one"
    return html.Div([own, html.H3(title), apart])


def pairs_of_levels(
    table: pa.Table, meanings: Sequence[Column], columns: dict[str, tuple[str, int]], caption: str
) -> Component:
    """A table with a row a pair of levels; a figure with an error beside it in the table shows that too."""
    meaning = {column.name: column.meaning for column in meanings}
    head: list[Content] = ["levels"]
    head += [html.Abbr(label, title=meaning[name]) for name, (label, _) in columns.items()]
    rows = table.to_pylist()
    some = any(row["status"] != Status.OK for row in rows)
    write = [_written(name, digits) for name, (_, digits) in columns.items()]
    body = [
        [
            html.Span([level_chip(row["parent_level"]), " → ", level_chip(row["child_level"])], className="chips"),
            *(one(row) for one in write),
            *([row["status"] if row["status"] != Status.OK else ""] if some else []),
        ]
        for row in rows
    ]
    return small_table([*head, *([""] if some else [])], body, caption=caption)


def _written(name: str, digits: int) -> Callable[[dict[str, Any]], Content]:
    def write(row: dict[str, Any]) -> Content:
        error = row.get(f"{name}_error")
        spread = [html.Span(f" ± {number(error, digits)}", className="spread")] if error is not None else []
        return [number(row[name], digits), *spread]

    return write


PANEL = Panel(
    name="splitting-levels",
    title="Between levels",
    about="run",
    needs=("splitting_levels",),
    render=render,
    hint="Means over the parents that have a child; by chance: every latent's codes shifted within documents",
)
