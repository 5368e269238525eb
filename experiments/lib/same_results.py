"""Do two runs have the same results? Says where tables, records and training metrics differ.

    python experiments/lib/same_results.py runs/before runs/after

A file of equal bytes is the same. Where bytes differ, a table is compared column by column and a record value by value:
how many rows or entries differ, and by how much at most. Exit status 0: all the same (`--within` allows numbers to
differ by so much, relative to the larger); 1: they differ; 2: a folder is no run. Figures (HTML) are not compared: they
are drawn from the tables; nor is the speed of training.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from msae.core.errors import CheckpointError, MsaeError
from msae.core.files import read_json
from msae.runs.layout import RunFolder
from msae.runs.record import RunRecord

NOT_COMPARED = {"tokens_per_second", "store", "fingerprint"}
SHOWN = 4


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--within", type=float, default=0.0, help="relative difference of numbers that counts as none")
    given = parser.parse_args(arguments)
    folders = [RunFolder(path) for path in (given.a, given.b)]
    for folder in folders:
        if not folder.is_run:
            print(f"{folder.path} is no run", file=sys.stderr)
            return 2
    found = list(differences(*folders, within=given.within))
    n_files = len(files(folders[0]).keys() | files(folders[1]).keys())
    for line in found:
        print(line)
    differing = len({line.split(":")[0] for line in found})
    print(f"{n_files - differing} of {n_files} files hold the same")
    return 1 if found else 0


def differences(a: RunFolder, b: RunFolder, *, within: float = 0.0) -> Iterator[str]:
    """What differs, each as ``file: where and how much``."""
    of_a, of_b = files(a), files(b)
    for name in sorted(of_a.keys() | of_b.keys()):
        if name not in of_a or name not in of_b:
            yield f"{name}: only in {b.path if name not in of_a else a.path}"
        elif of_a[name].read_bytes() != of_b[name].read_bytes():
            yield from (f"{name}: {line}" for line in _in_file(of_a[name], of_b[name], within))


def files(run: RunFolder) -> dict[str, Path]:
    """What is compared: tables and records of the results, comparisons included, and the metrics of training."""
    found = [path for path in run.results.rglob("[!.]*") if path.suffix in (".parquet", ".json")]
    if run.metrics.is_file():
        found.append(run.metrics)
    return {path.relative_to(run.path).as_posix(): path for path in found}


def _in_file(a: Path, b: Path, within: float) -> Iterator[str]:
    if a.suffix == ".parquet":
        yield from _in_tables(pq.read_table(a), pq.read_table(b), within)
        return
    try:
        values = [_values(path) for path in (a, b)]
    except MsaeError as error:
        yield f"cannot be read ({error})"
        return
    found = list(_in_values(*values, "", within))
    yield from found[:SHOWN]
    if len(found) > SHOWN:
        yield f"and {len(found) - SHOWN} values more"


def _values(path: Path) -> Any:
    if path.suffix == ".jsonl":
        return RunRecord(path.parent).metrics()
    return read_json(path, CheckpointError)


def _in_tables(a: pa.Table, b: pa.Table, within: float) -> Iterator[str]:
    for names, other, where in ((a.column_names, b.column_names, "a"), (b.column_names, a.column_names, "b")):
        if only := [name for name in names if name not in other]:
            yield f"columns only in {where}: {', '.join(only)}"
    if a.num_rows != b.num_rows:
        yield f"{a.num_rows:,} rows, {b.num_rows:,} rows"
        return
    for name in (name for name in a.column_names if name in b.column_names):
        if a.schema.field(name).type != b.schema.field(name).type:
            yield f"column {name} is {a.schema.field(name).type}, {b.schema.field(name).type}"
        yield from _in_column(name, a[name].to_pylist(), b[name].to_pylist(), within)
    if (a.schema.metadata or {}) != (b.schema.metadata or {}):
        keys = (a.schema.metadata or {}).keys() | (b.schema.metadata or {}).keys()
        differing = [k.decode() for k in keys if (a.schema.metadata or {}).get(k) != (b.schema.metadata or {}).get(k)]
        yield f"what is kept with the table differs: {', '.join(sorted(differing))}"
    for name in (name for name in a.column_names if name in b.column_names):
        if (a.schema.field(name).metadata or {}) != (b.schema.field(name).metadata or {}):
            yield f"column {name} has another description"


def _in_column(name: str, a: list[Any], b: list[Any], within: float) -> Iterator[str]:
    gaps = [gap for x, y in zip(a, b, strict=True) if (gap := _gap(x, y)) > within]
    if gaps:
        worst = max(gaps)
        by = f", by {worst:.3g} at most (relative)" if math.isfinite(worst) else ""
        yield f"column {name} differs in {len(gaps):,} of {len(a):,} rows{by}"


def _in_values(a: Any, b: Any, where: str, within: float) -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            if key in NOT_COMPARED:
                continue
            at = f"{where}.{key}" if where else key
            if key not in a or key not in b:
                yield f"{at} is only in {'b' if key not in a else 'a'}"
            else:
                yield from _in_values(a[key], b[key], at, within)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for place, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _in_values(x, y, f"{where}[{place}]", within)
    elif _gap(a, b) > within:
        yield f"{where} {_short(a)} != {_short(b)}"


def _gap(a: Any, b: Any) -> float:
    """How far two values lie apart, relative to the larger; infinite where they are no numbers and not equal."""
    if a == b:
        return 0.0
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max((_gap(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max((_gap(a[key], b[key]) for key in a), default=0.0)
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b))
    return abs(a - b) / max(abs(a), abs(b)) if numbers else math.inf


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


if __name__ == "__main__":
    raise SystemExit(main())
