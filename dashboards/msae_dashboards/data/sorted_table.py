"""A Parquet table of which only the parts asked for are read, so that a table of gigabytes answers in milliseconds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HELD_BYTES = 48 << 20


class SortedTable:
    """Rows by the value of one column. Row groups are pruned by their statistics, which is quick when the table is
    sorted by that column and right when it is not. At most `HELD_BYTES` of decoded row groups are kept (or one)."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path)
        self._held: OrderedDict[int, pa.Table] = OrderedDict()
        self._bounds: dict[str, list[tuple[int, int] | None]] = {}
        self._lock = threading.Lock()

    def rows(self, column: str, value: int) -> pa.Table:
        """The rows whose `column` (of whole numbers) is `value`, in the table's order."""
        with self._lock:
            groups = [
                self._group(index)
                for index, bounds in enumerate(self._bounds_of(column))
                if bounds is None or bounds[0] <= value <= bounds[1]
            ]
        parts = [group.take(np.flatnonzero(group[column].to_numpy() == value)) for group in groups]
        return pa.concat_tables(parts) if parts else self._file.schema_arrow.empty_table()

    def _bounds_of(self, column: str) -> list[tuple[int, int] | None]:
        if column not in self._bounds:
            metadata = self._file.metadata
            paths = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
            place = paths.index(column)
            found = (metadata.row_group(group).column(place).statistics for group in range(metadata.num_row_groups))
            self._bounds[column] = [(s.min, s.max) if s is not None and s.has_min_max else None for s in found]
        return self._bounds[column]

    def _group(self, index: int) -> pa.Table:
        if index not in self._held:
            self._held[index] = self._file.read_row_group(index)
            while len(self._held) > 1 and sum(group.nbytes for group in self._held.values()) > HELD_BYTES:
                self._held.popitem(last=False)
        self._held.move_to_end(index)
        return self._held[index]
