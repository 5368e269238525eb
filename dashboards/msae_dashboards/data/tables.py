"""`RunTables`: everything known about a run, read when wanted and again when a file has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from msae.analysis.hierarchy.branches import Branches
from msae.analysis.levels.level_table import LevelTable
from msae.core.errors import EvaluationError, MsaeError
from msae.core.files import read_json
from msae.runs.layout import is_compared_table
from msae.runs.record import RunRecord
from msae_dashboards.data.feature_index import FeatureIndex, joined
from msae_dashboards.data.sorted_table import SortedTable

T = TypeVar("T")
Identity = tuple[int, int, int]

LEVELS, METRICS, ANALYSIS, EXPLANATIONS = "levels", "metrics", "analysis", "explanations"
LOGITS = "logits"
MADE_BY = {LEVELS: "msae eval {run}", METRICS: "msae train --resume --out {run} ..."}
ANALYZE, COMPARE = "msae analyze {run}", "msae compare {run} OTHER"


class MissingTableError(MsaeError):
    """A table is not there, or not whole. `command` makes it."""

    def __init__(self, name: str, path: Path, why: str, command: str) -> None:
        super().__init__(f"{path} {why}. To make it: {command}")
        self.name, self.path, self.why, self.command = name, path, why, command


class RunTables:
    """The run at `path`, read-only. Names are ``levels``, ``metrics``, ``analysis``, and of Parquet files in results/
    (``tree``, ``compare/NAME/compare_pairs``).

    Everything read is kept until its file changes (device, size, time), so a run analyzed again shows at the next look.
    `model`: where the run's language model is, if it has moved. Safe to share between threads. Raises `CheckpointError`
    when there is no run at `path`; every reader raises `MissingTableError` when its file is missing, half-written or
    from an older version.
    """

    def __init__(self, path: str | Path, *, model: str | None = None) -> None:
        self.run, self.model = RunRecord(Path(path)), model
        _ = self.run.config
        self._held: dict[tuple[str, str], tuple[tuple[Identity, Identity | None], Any]] = {}
        self._lock = threading.RLock()

    @property
    def title(self) -> str:
        """What to call the run: its folder's last two names."""
        return "/".join(self.run.path.resolve().parts[-2:])

    @property
    def source(self) -> dict[str, Any]:
        """Which activations the run was trained on: model, hook, contexts."""
        return self.run.config["store"]["source"]

    def has(self, name: str) -> bool:
        """Whether there is such a table (whole or not)."""
        return self.path_of(name).is_file()

    def path_of(self, name: str) -> Path:
        """Where a table lies. Names come from code, never from a URL."""
        folder = self.run.folder
        files = {LEVELS: folder.levels, METRICS: folder.metrics, ANALYSIS: folder.analysis}
        return files.get(name) or folder.table(name)

    def require(self, *names: str) -> None:
        """Raise `MissingTableError` for the first that is not there."""
        for name in names:
            if not self.has(name):
                raise self._missing(name, "does not exist")

    def levels(self) -> LevelTable:
        """What each level is worth."""
        return self._read(LEVELS, "levels", LevelTable.read)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows logged while training."""
        return self._read(METRICS, "metrics", lambda path: self.run.metrics())

    def analysis(self) -> dict[str, Any]:
        """What was analyzed, headline figures with their nulls, and notes. `EvaluationError` where a part that is
        looked up is missing or of another kind."""
        return self._read(ANALYSIS, "json", _record)

    def table(self, name: str) -> pa.Table:
        """A whole table. For those that grow with the dictionary times a constant (``examples``) use `rows`."""
        return self._read(name, "whole", pq.read_table)

    def rows(self, name: str, value: int, column: str = "latent") -> list[dict[str, Any]]:
        """The rows of a table about one latent, in the table's order. Reads only the part they lie in."""
        table = self._read(name, "sorted", SortedTable)
        return self._read(name, f"{column}={value}", lambda path: table.rows(column, value).to_pylist(), keep=False)

    def where(self, name: str, value: int, *columns: str) -> list[dict[str, Any]]:
        """The rows of a table of numbers in which one of `columns` is `value`, in the table's order. For tables that
        are not sorted by it: they are kept whole, as arrays."""
        held = self._read(name, "arrays", _arrays)
        places = np.flatnonzero(np.logical_or.reduce([held[column] == value for column in columns]))
        rows = zip(*(array[places].tolist() for array in held.values()), strict=True)
        return [dict(zip(held, row, strict=True)) for row in rows]

    def made(self, name: str, what: str, make: Callable[[pa.Table], T]) -> T:
        """What `make` makes of a table, kept under `what` as tables are."""
        return self._read(name, what, lambda path: make(pq.read_table(path)))

    def branches(self) -> Branches:
        """The tree, latent by latent."""
        return self.made("tree", "branches", Branches.of)

    def comparisons(self) -> dict[str, dict[str, Any]]:
        """What `msae compare` found about the run, by name: which SAEs, on how many tokens, notes. Names come from the
        disk; a URL only chooses among them."""
        found = {}
        for comparison in self.run.folder.comparisons():
            try:
                found[comparison.name] = read_json(comparison.about, EvaluationError)
            except EvaluationError:
                continue
        return found

    def features(self) -> FeatureIndex:
        """All latents, as arrays to filter, sort and search; with explanations where there are any."""
        explained = EXPLANATIONS if self.has(EXPLANATIONS) else None

        def index(path: Path) -> FeatureIndex:
            explanations = self.table(explained) if explained else None
            return FeatureIndex.of(pq.read_table(path), explanations, self._promoted)

        return self._read("features", "index", index, also=explained)

    def _promoted(self) -> list[str]:
        """Of every latent the tokens whose logits it raises most, as one text to search; empty where there are none."""
        texts = [""] * len(self.features())
        if self.has(LOGITS):
            texts = self.made(LOGITS, "promoted", lambda table: _promoted(table, len(texts)))
        return texts

    def _read(
        self, name: str, kind: str, read: Callable[[Path], T], *, also: str | None = None, keep: bool = True
    ) -> T:
        """What `read` makes of a file (and of the table `also`), kept until either changes; `kind`: as what."""
        path = self.path_of(name)
        try:
            identity = (_identity(path), _identity(self.path_of(also)) if also else None)
            if not keep:
                return read(path)
            with self._lock:
                held = self._held.get((name, kind))
                if held is None or held[0] != identity:
                    held = self._held[name, kind] = (identity, read(path))
            return held[1]
        except FileNotFoundError as error:
            raise self._missing(name, "does not exist") from error
        except (pa.ArrowException, OSError, ValueError, KeyError, EvaluationError) as error:
            raise self._missing(name, f"cannot be read ({_first_line(error)})") from error

    def _missing(self, name: str, why: str) -> MissingTableError:
        command = COMPARE if is_compared_table(name) else MADE_BY.get(name, ANALYZE)
        return MissingTableError(name, self.path_of(name), why, command.format(run=self.run.path))


class _Record(dict[str, Any]):
    """An object read from JSON, which says what it lacks."""

    def __init__(self, values: Mapping[str, Any], named: str) -> None:
        super().__init__(values)
        self._named = named

    def __missing__(self, key: str) -> Any:
        raise EvaluationError(f"{self._named} has no {key!r}: it was altered; analyze the run again (msae analyze)")


def _record(path: Path) -> _Record:
    values = read_json(path, EvaluationError)
    notes = values.get("notes", [])
    sections = {name: value for name, value in values.items() if name not in ("notes", "files")}
    odd = [name for name, value in sections.items() if not isinstance(value, dict)]
    if odd or not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise EvaluationError(f"{path} is not what msae writes ({', '.join(odd) or 'notes'}): analyze the run again")
    parts = {name: _Record(value, f"{name!r} of {path}") for name, value in sections.items()}
    return _Record({**values, **parts}, str(path))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Column by column, since the whole twice would be most of a server's memory."""
    names = pq.read_schema(path).names
    return {name: pq.read_table(path, columns=[name])[name].to_numpy() for name in names}


def _identity(path: Path) -> Identity:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _promoted(logits: pa.Table, n: int) -> list[str]:
    top = logits.filter(pa.compute.equal(logits["side"].cast(pa.string()), "top"))
    tokens: list[list[str]] = [[] for _ in range(n)]
    for latent, token in zip(top["latent"].to_pylist(), top["token"].to_pylist(), strict=True):
        tokens[latent].append(token or "")
    return [joined(own) for own in tokens]
