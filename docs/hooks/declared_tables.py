"""Every result table that the code declares, as a page: what a row is, and each column with its type and meaning."""

from __future__ import annotations

from msae.analysis.all_measurements import TABLES
from msae.analysis.tables import Column, TableSpec
from msae.studies.classify import CLASSES, LEVELS_OF_CLASSES
from msae.studies.comparison import COMPARED_LEVELS, COMPARED_OVERLAP, COMPARED_RATE, LATENTS

DECLARED: dict[str, tuple[TableSpec, ...]] = {
    "Of `msae analyze`": TABLES,
    "Of `msae compare`": (COMPARED_LEVELS, COMPARED_OVERLAP, COMPARED_RATE, LATENTS),
    "Of `msae classify`": (LEVELS_OF_CLASSES, CLASSES),
}
"""By the command that makes them."""


def as_markdown() -> str:
    """A section a command, and in it one a table."""
    return "\n".join("\n".join([f"## {command}\n", *map(section, tables)]) for command, tables in DECLARED.items())


def section(table: TableSpec) -> str:
    """What a row of the table is, and its columns."""
    rows = [f"| `{c.name}` | {_type(c)} | {c.unit} | {cell(c.meaning)} |" for c in table.columns]
    head = ["| column | type | unit | meaning |", "|---|---|---|---|"]
    return "\n".join([f"### `{table.name}`\n", f"One row: {table.row}.\n", *head, *rows, ""])


def _type(column: Column) -> str:
    name = str(column.type)
    return "string" if "dictionary<values=string" in name else name.replace("list<item: ", "list<").replace("<", "&lt;")


def cell(text: str) -> str:
    """`text` as it can stand in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
