"""What a measurement is: frozen settings whose `run` turns a collected sample into tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from msae.analysis.sample import Collected
from msae.analysis.tables import write_tables

Figure = int | float | str | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """The tables of a measurement, by the name of their file, and its headline figures with their nulls.

    A figure that the sample cannot give is None, and a table then says why in its ``status``.
    """

    tables: Mapping[str, pa.Table]
    summary: Mapping[str, Figure]

    def write(self, folder: Path) -> list[Path]:
        """Write every table to ``folder/<name>.parquet``."""
        return write_tables(self.tables, folder)


@runtime_checkable
class Measurement(Protocol):
    """A frozen dataclass of settings. `name`: of the measurement and of its main table."""

    name: ClassVar[str]

    def run(self, collected: Collected) -> Result:
        """Measure; raises `EvaluationError` where there is nothing to measure at all."""
        ...
