"""What a measurement is: frozen settings whose `run` turns a collected sample into tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from msae.analysis.sample import Collected
from msae.analysis.tables import TableSpec, write_tables

if TYPE_CHECKING:
    from rich.console import RenderableType

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
    """A frozen dataclass of settings. `name`: of the measurement and of its main table. `tables`: all it makes."""

    name: ClassVar[str]
    tables: ClassVar[tuple[TableSpec, ...]]

    def run(self, collected: Collected) -> Result:
        """Measure; raises `EvaluationError` where there is nothing to measure at all."""
        ...

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """What of a result a person reads in a terminal or a notebook. `tables`: those of `Collected`."""
        ...
