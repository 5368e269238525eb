"""The figures of both sides, one under the other."""

from __future__ import annotations

from typing import Any

from msae.runs.layout import compared_table
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.compare.compared import LEVELS, Compared
from msae_dashboards.pages.declared import figure, head
from msae_dashboards.pages.overview.level_table import COLUMNS
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Content, Head, LevelChip, Paragraph, Table


def render(visit: Visit) -> Content:
    """One row a level of either side."""
    compared = Compared.of(visit)
    rows = _rows(visit.tables, compared)
    columns = [column for column in COLUMNS if any(row.get(column.name) is not None for row in rows)]
    body = [[row["name"], *(figure(column, row) for column in columns)] for row in rows]
    return [Table("Figures of both sides", [Head("side"), *map(head, columns)], body), *_notes(visit.tables, compared)]


def _rows(tables: RunTables, compared: Compared) -> list[dict[str, Any]]:
    if compared.name == LEVELS:
        records = tables.levels().records()
        return [{**records[side], "name": LevelChip(side)} for side in (compared.a, compared.b) if side < len(records)]
    wanted = [compared.sides[side].name for side in (compared.a, compared.b)]
    found = []
    for record in tables.table(compared_table(compared.name, "compare_levels")).to_pylist():
        named = f"{record['run']}/{record['width']}"
        if record["run"] in wanted:
            found.append({**record, "name": [LevelChip(record["level"]), f" {record['run']}"]})
        elif named in wanted:
            found.append({**record, "name": named})
    return found


def _notes(tables: RunTables, compared: Compared) -> list[Paragraph]:
    if compared.name == LEVELS:
        return [Paragraph(f"Measured on {tables.levels().sample.n_tokens:,} tokens.", "note")]
    n_tokens = tables.comparisons()[compared.name]["n_tokens"]
    notes = [f"Latents were matched on {n_tokens:,} tokens.", *compared.notes]
    return [Paragraph(note, "note") for note in notes]


PANEL = Panel(
    name="compare-figures",
    title="Side by side",
    about="run",
    needs=("levels",),
    render=render,
)
