"""The figures of both sides, one under the other."""

from __future__ import annotations

from typing import Any

from dash import html
from dash.development.base_component import Component

from msae.analysis.levels.level_table import DEFINITIONS
from msae.runs.layout import compared_table
from msae_dashboards.address import Address
from msae_dashboards.panels.compared import LEVELS, Compared
from msae_dashboards.panels.level_table import COLUMNS
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import Content, level_chip, number, small_table
from msae_dashboards.tables import RunTables


def render(tables: RunTables, address: Address) -> Component:
    """One row a level of either side."""
    compared = Compared.of(tables, address)
    rows = _rows(tables, compared)
    columns = {name: shape for name, shape in COLUMNS.items() if any(row.get(name) is not None for row in rows)}
    head: list[Content] = ["", *(html.Abbr(label, title=DEFINITIONS[name]) for name, (label, _) in columns.items())]
    body = [[row["name"], *(number(row.get(name), digits) for name, (_, digits) in columns.items())] for row in rows]
    return html.Div([small_table(head, body, caption="Figures of both sides"), *_notes(tables, compared)])


def _rows(tables: RunTables, compared: Compared) -> list[dict[str, Any]]:
    if compared.name == LEVELS:
        records = tables.levels().records()
        return [{**records[side], "name": level_chip(side)} for side in (compared.a, compared.b) if side < len(records)]
    wanted = [compared.sides[side].name for side in (compared.a, compared.b)]
    found = []
    for record in tables.table(compared_table(compared.name, "compare_levels")).to_pylist():
        named = f"{record['run']}/{record['width']}"
        if record["run"] in wanted:
            found.append({**record, "name": [level_chip(record["level"]), f" {record['run']}"]})
        elif named in wanted:
            found.append({**record, "name": named})
    return found


def _notes(tables: RunTables, compared: Compared) -> list[Component]:
    if compared.name == LEVELS:
        sample = tables.levels().sample
        return [html.P(f"Measured on {sample.n_tokens:,} tokens.", className="note")]
    n_tokens = tables.comparisons()[compared.name]["n_tokens"]
    notes = [f"Latents were matched on {n_tokens:,} tokens.", *compared.notes]
    return [html.P(note, className="note") for note in notes]


PANEL = Panel(
    name="compare-figures",
    title="Side by side",
    about="run",
    needs=("levels",),
    render=render,
)
