"""Figures of a result table under the headings, in the digits and with the errors that its columns declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from msae.analysis.rendering import NOT_APPLICABLE, written
from msae.analysis.tables import Column, Status, TableSpec, sentence
from msae_dashboards.view.nodes import Content, Head, LevelChip, Table, Text


def head(column: Column) -> Head:
    """What stands over a column."""
    return Head(column.title, f"{column.meaning} ({column.unit})" if column.unit else column.meaning)


def figure(column: Column, row: Mapping[str, Any]) -> Content:
    """A row's figure, with its standard error where there is one; `n/a` where the row has none."""
    text = written(row.get(column.name), column.digits)
    error = written(row.get(column.error), column.digits) if column.error else NOT_APPLICABLE
    if NOT_APPLICABLE in (text, error):
        return text
    return [text, Text(f" ± {error}", "spread")]


def level_pairs_table(table: pa.Table, spec: TableSpec, names: Sequence[str], caption: str) -> Table:
    """A row a pair of levels, with the named columns of `spec`; and why figures are missing, where they are."""
    columns, rows = [spec[name] for name in names], table.to_pylist()
    some = any(row["status"] != Status.OK for row in rows)
    body = [
        [
            Text([LevelChip(row["parent_level"]), " → ", LevelChip(row["child_level"])], "chips"),
            *(figure(column, row) for column in columns),
            *([sentence(row["status"])] if some else []),
        ]
        for row in rows
    ]
    return Table(caption, [Head("levels"), *map(head, columns), *([Head("missing")] if some else [])], body)
