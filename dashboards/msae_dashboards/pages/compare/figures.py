"""The figures of both sides, one under the other."""

from __future__ import annotations

from math import isclose
from typing import Any

from msae.analysis.levels import level_table
from msae.runs.layout import compared_table
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.compare.compared import LEVELS, Compared
from msae_dashboards.pages.declared import figure, head
from msae_dashboards.pages.overview import level_table as overview
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Content, Head, LevelChip, Paragraph, Table

COLUMNS = (*overview.COLUMNS[:3], level_table.WITH_SINKS, *overview.COLUMNS[3:])


def render(visit: Visit) -> Content:
    """One row a level of either side."""
    compared = Compared.of(visit)
    rows = _rows(visit.tables, compared)
    spec = {column.name: column for column in level_table.LEVELS.columns}
    columns = [spec[name] for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    if all(isclose(row["fvu"], row.get(level_table.WITH_SINKS) or row["fvu"], rel_tol=1e-6) for row in rows):
        columns = [column for column in columns if column.name != level_table.WITH_SINKS]  # there are no sinks
    body = [[row["name"], *(figure(column, row) for column in columns)] for row in rows]
    return [Table("Figures of both sides", [Head("side"), *map(head, columns)], body), *_notes(visit.tables, compared)]


def _rows(tables: RunTables, compared: Compared) -> list[dict[str, Any]]:
    if compared.name == LEVELS:
        table = tables.levels()
        records = table.records()
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
        table = tables.levels()
        about = [f"Measured on {table.sample.n_tokens:,} tokens.", *table.sink_notes()]
        return [Paragraph(note, "note") for note in about]
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
