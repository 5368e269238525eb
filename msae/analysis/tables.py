"""Result tables: declared once (name, what a row is, columns and their meanings), kept as Parquet, whole or absent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from msae.core.errors import EvaluationError
from msae.core.files import write_atomically
from msae.runs.layout import table_file

WORD = pa.dictionary(pa.int32(), pa.string())
MEANING = b"description"
UNIT = b"unit"
ROW = "msae:row"
GROUP_ROWS = 1 << 12
"""Rows a Parquet row group: a reader that wants one latent's rows decodes these many, not all."""


class Status(StrEnum):
    """Whether a row's figures could be measured, and if not, why. A table keeps the value, and decides by it; what a
    person reads is `sentence`."""

    OK = "ok"
    FEW = "too few tokens"
    NEVER = "never fires"
    WEAK = "probe too weak"
    NO_TEXT = "no text"
    NO_MODEL = "no model"
    NO_LOGIT = "no logit"
    NO_PROMPTS = "no prompts"
    FEW_WORDS = "too few words"

    @property
    def sentence(self) -> str:
        """What it says, for a cell of a table."""
        return _SENTENCES.get(self, self.value)


def sentence(status: str) -> str:
    """What a table's status says; the text itself where a version of msae before this one wrote it."""
    return Status(status).sentence if status in set(Status) else status


_SENTENCES = {
    Status.OK: "",
    Status.NO_TEXT: "tokens have no text",
    Status.NO_MODEL: "n/a: there is no model to ask",
    Status.NO_LOGIT: "n/a: no logit of the model stands for the concept",
    Status.NO_PROMPTS: "n/a: the tokenizer has no prompts for it",
    Status.FEW_WORDS: "the model spells too few words",
}


@dataclass(frozen=True)
class Column:
    """A column's name, its arrow type and what it means. A value that does not apply, or is not finite, is null.

    `unit`: of its values, where they have one. For the eye: `heading` (None: the name, with blanks), `digits` behind
    the point (None: four that count), `error`: the column that holds its standard error, shown with it.
    """

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    heading: str | None = None
    digits: int | None = None
    error: str | None = None

    @property
    def title(self) -> str:
        """What stands over it."""
        return self.name.replace("_", " ") if self.heading is None else self.heading


@final
class TableSpec:
    """What a table is: its name (of its file too), what one of its rows is, and its columns."""

    def __init__(self, name: str, row: str, *columns: Column) -> None:
        self.name, self.row, self.columns = name, row, columns

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> list[str]:
        """Of its columns."""
        return [column.name for column in self.columns]


def make_table(spec: TableSpec, values: Mapping[str, Any], about: Mapping[str, object] = {}) -> pa.Table:
    """The table with exactly the columns of `spec`, in their order. `about` (settings, null models, notes) is kept with
    it for whoever opens the file; no figure is read back from there.

    Raises `EvaluationError` when a column has no values, or there are values for no column.
    """
    if set(spec.names) != values.keys():
        raise EvaluationError(f"the table {spec.name} of the columns {sorted(spec.names)} was given {sorted(values)}")
    fields = [pa.field(c.name, c.type, metadata=_metadata(c)) for c in spec.columns]
    metadata = {f"msae.{key}": str(value) for key, value in about.items()} | {ROW: spec.row}
    return pa.Table.from_arrays(
        [_array(values[c.name], c.type) for c in spec.columns], schema=pa.schema(fields, metadata=metadata)
    )


def by_column(spec: TableSpec, rows: Sequence[Mapping[str, Any]]) -> dict[str, list]:
    """Rows as the columns of `spec`; what a row does not say is null."""
    return {name: [row.get(name) for row in rows] for name in spec.names}


def meanings(table: pa.Table) -> dict[str, str]:
    """What each column means."""
    return {field.name: (field.metadata or {}).get(MEANING, b"").decode() for field in table.schema}


def units(table: pa.Table) -> dict[str, str]:
    """The unit of each column that has one."""
    return {field.name: unit.decode() for field in table.schema if (unit := (field.metadata or {}).get(UNIT))}


def row_of(schema: pa.Schema) -> str:
    """What one row of a table of that schema is; empty where the table does not say."""
    return (schema.metadata or {}).get(ROW.encode(), b"").decode()


def write_tables(tables: Mapping[str, pa.Table], folder: Path) -> list[Path]:
    """Write each table to ``folder/<name>.parquet``, each whole or not at all."""
    paths = [table_file(folder, name) for name in tables]
    for path, table in zip(paths, tables.values(), strict=True):
        write_atomically(path, partial(_write, table))
    return paths


def read_table(path: Path) -> pa.Table:
    """The table at `path`; `EvaluationError` when there is none or it cannot be read."""
    with _readable(path):
        return pq.read_table(path)


def table_footer(path: Path) -> tuple[int, str]:
    """How many rows the table at `path` has and what one is, from its footer alone; `EvaluationError` as in
    `read_table`."""
    with _readable(path):
        footer = pq.read_metadata(path)
        return footer.num_rows, row_of(footer.schema.to_arrow_schema())


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise EvaluationError(f"{path} does not exist: analyze the run first (msae analyze)") from error
    except (pa.ArrowException, OSError) as error:
        raise EvaluationError(f"{path} is no readable Parquet table ({error}): analyze the run again") from error


def lists(flat: Any, lengths: np.ndarray, type: pa.DataType) -> pa.ListArray:
    """`flat` cut into consecutive lists of the given lengths."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), _array(flat, type))


def words(texts: Sequence[str], index: np.ndarray) -> pa.DictionaryArray:
    """``texts[index]``, each text stored once; a negative index is null."""
    index = np.asarray(index)
    return pa.DictionaryArray.from_arrays(
        pa.array(index.astype(np.int32, copy=False), mask=index < 0), pa.array(texts, pa.string())
    )


def _metadata(column: Column) -> dict[bytes, bytes]:
    unit = {UNIT: column.unit.encode()} if column.unit else {}
    return {MEANING: column.meaning.encode(), **unit}


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", row_group_size=GROUP_ROWS)


def _array(values: Any, type: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values if values.type == type else values.cast(type)
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pa.array(values, type=type, mask=~np.isfinite(values))
    return pa.array(values, type=type)


__all__ = [
    "WORD",
    "Column",
    "Status",
    "TableSpec",
    "by_column",
    "lists",
    "make_table",
    "meanings",
    "read_table",
    "row_of",
    "sentence",
    "table_footer",
    "units",
    "words",
    "write_tables",
]
