"""Every result table that the code declares, as a page: what a row is, and each column with its type and meaning."""

from __future__ import annotations

from msae.analysis.all_measurements import TABLES
from msae.analysis.tables import Column, TableSpec
from msae.studies.comparison import LATENTS


def declared_tables() -> tuple[TableSpec, ...]:
    """Those of `msae analyze`, and the one that `msae compare` adds."""
    return (*TABLES, LATENTS)


def as_markdown() -> str:
    """A section a table."""
    parts = []
    for table in declared_tables():
        rows = [f"| `{c.name}` | {_type(c)} | {c.unit} | {cell(c.meaning)} |" for c in table.columns]
        head = ["| column | type | unit | meaning |", "|---|---|---|---|"]
        parts.append("\n".join([f"## `{table.name}`\n", f"One row: {table.row}.\n", *head, *rows, ""]))
    return "\n".join(parts)


def _type(column: Column) -> str:
    name = str(column.type)
    return "string" if "dictionary<values=string" in name else name.replace("list<item: ", "list<").replace("<", "&lt;")


def cell(text: str) -> str:
    """`text` as it can stand in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
