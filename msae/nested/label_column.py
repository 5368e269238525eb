"""Labels of rows, read from a column of a table: CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from msae.core.config import nearest
from msae.core.errors import CorpusError


def read_labels_column(path: Path | str, column: str) -> list[str | None]:
    """The values of `column` as text, in the table's order; None where one is empty.

    Raises `CorpusError` for a file that cannot be read, another ending, or a column that is not there.
    """
    path = Path(path)
    readers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if path.suffix not in readers:
        raise CorpusError(f"{path} is no table of labels: its name ends in none of {', '.join(readers)}")
    try:
        rows = readers[path.suffix](path)
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path} cannot be read as {path.suffix[1:]} ({error})") from error
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if column not in columns:
        raise CorpusError(f"{path} has no column {column!r}{nearest(column, columns)}; it has {columns}")
    values = (row.get(column) for row in rows)
    return [None if value in (None, "") else str(value) for value in values]


def _csv(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _jsonl(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("not every line is an object")
    return rows


def _parquet(path: Path) -> list[dict[str, Any]]:
    from pyarrow import parquet

    return parquet.read_table(path).to_pylist()
