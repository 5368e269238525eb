"""Tables for the eye: one rendering of rows for a terminal, a notebook and a page."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from msae.analysis.tables import Column, Status, TableSpec, sentence

if TYPE_CHECKING:
    from rich.table import Table

NOT_APPLICABLE = "n/a"
STATUS = "status"


@dataclass(frozen=True, kw_only=True)
class ShownTable:
    """A table as a person reads it; `rich` and notebooks show it as it is. `notes`: a line each, below it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        spec: TableSpec | Sequence[Column],
        rows: Sequence[Mapping[str, Any]],
        *names: str,
        title: str,
        notes: Sequence[str] = (),
    ) -> ShownTable:
        """The named columns (none: all) of `rows`, and why figures are missing where a row's status says so."""
        columns = spec.columns if isinstance(spec, TableSpec) else tuple(spec)
        by_name = {column.name: column for column in columns}
        chosen = [by_name[name] for name in names or by_name if name != STATUS]
        if STATUS in by_name and any(row[STATUS] != Status.OK for row in rows):
            chosen.append(by_name[STATUS])
        return cls(title=title, columns=tuple(chosen), rows=tuple(rows), notes=tuple(notes))

    @property
    def headings(self) -> list[str]:
        """What stands over each column; nothing over the statuses."""
        return ["" if column.name == STATUS else column.title for column in self.columns]

    def cells(self) -> list[list[str]]:
        """Every row as texts."""
        return [[cell(column, row) for column in self.columns] for row in self.rows]

    def __rich__(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=Text(self.title),
            caption=Text("\n".join(self.notes)) if self.notes else None,
            title_justify="left",
            caption_justify="left",
            min_width=len(self.title),
        )
        for heading, column in zip(self.headings, self.columns, strict=True):
            table.add_column(heading, justify="left" if _is_text(column) else "right")
        for row in self.cells():
            table.add_row(*(Text(text) for text in row))
        return table

    def _repr_html_(self) -> str:
        return self.html()

    def html(self) -> str:
        """A page's piece: the title, a ``<table>`` whose headings say what they mean, the notes."""
        parts = [f"<b>{html.escape(self.title)}</b><table><thead><tr>"]
        for heading, column in zip(self.headings, self.columns, strict=True):
            parts.append(f'<th title="{html.escape(column.meaning)}">{html.escape(heading)}</th>')
        parts.append("</tr></thead><tbody>")
        for row in self.cells():
            parts.append(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>")
        parts.append("</tbody></table>")
        parts += [f"<div>{html.escape(note)}</div>" for note in self.notes]
        return "".join(parts)


def cell(column: Column, row: Mapping[str, Any]) -> str:
    """The text of a row's value in a column, with its standard error where there is one."""
    value = row[column.name]
    if column.name == STATUS:
        return sentence(value)
    text = written(value, column.digits)
    error = row[column.error] if column.error else None
    return text if text == NOT_APPLICABLE or _missing(error) else f"{text} ± {written(error, column.digits)}"


def written(value: Any, digits: int | None = None) -> str:
    """A value as text: ``n/a`` where there is none, whole numbers with commas, others with `digits` behind the point
    (None: four digits that count)."""
    if _missing(value):
        return NOT_APPLICABLE
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}" if digits is None else f"{value:,.{digits}f}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(written(each, digits) for each in value)
    return str(value)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and not math.isfinite(value))


def _is_text(column: Column) -> bool:
    own = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_string(own))


__all__ = ["NOT_APPLICABLE", "ShownTable", "cell", "written"]
