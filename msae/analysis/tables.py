"""Result tables: Parquet files whose columns say what they mean, whole or absent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from msae.core.errors import EvaluationError
from msae.core.files import write_atomically
from msae.runs.layout import table_file

OK, FEW, NEVER = "ok", "too few tokens", "never fires"
MEANING = b"description"
ROW = "msae:row"
GROUP_ROWS = 1 << 12
"""Rows a Parquet row group: a reader that wants one latent's rows decodes these many, not all."""


@dataclass(frozen=True)
class Column:
    """A column's name, its arrow type and what it means. A value that does not apply, or is not finite, is null."""

    name: str
    type: pa.DataType
    meaning: str


def make_table(
    columns: Sequence[Column], values: Mapping[str, Any], about: Mapping[str, object] = {}, *, row: str
) -> pa.Table:
    """The table with exactly `columns`, in their order; `about` (settings, null models, notes) and `row`, what one of
    its rows is, are kept with it.

    Raises `EvaluationError` when a column has no values, or there are values for no column.
    """
    names = {column.name for column in columns}
    if names != values.keys():
        raise EvaluationError(f"a table of the columns {sorted(names)} was given {sorted(values)}")
    fields = [pa.field(c.name, c.type, metadata={MEANING: c.meaning.encode()}) for c in columns]
    metadata = {f"msae.{key}": str(value) for key, value in about.items()} | {ROW: row}
    return pa.Table.from_arrays(
        [_array(values[c.name], c.type) for c in columns], schema=pa.schema(fields, metadata=metadata)
    )


def meanings(table: pa.Table) -> dict[str, str]:
    """What each column means."""
    return {field.name: (field.metadata or {}).get(MEANING, b"").decode() for field in table.schema}


def about(table: pa.Table) -> dict[str, str]:
    """What is kept with a table: settings, null models, notes."""
    stored = table.schema.metadata or {}
    return {
        key.decode().removeprefix("msae."): value.decode() for key, value in stored.items() if key.startswith(b"msae.")
    }


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


WORD = pa.dictionary(pa.int32(), pa.string())


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", row_group_size=GROUP_ROWS)


def _array(values: Any, type: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values if values.type == type else values.cast(type)
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pa.array(values, type=type, mask=~np.isfinite(values))
    return pa.array(values, type=type)


__all__ = [
    "FEW",
    "NEVER",
    "OK",
    "WORD",
    "Column",
    "about",
    "lists",
    "make_table",
    "meanings",
    "read_table",
    "row_of",
    "table_footer",
    "words",
    "write_tables",
]
