"""Two runs' results are compared file by file, column by column."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.lib.same_results import main
from msae.runs.layout import RunFolder

MADE = Path(__file__).parents[1] / "made_before" / "0.1.0" / "run"


@pytest.fixture
def two(tmp_path):
    """The same run twice."""
    for name in ("a", "b"):
        shutil.copytree(MADE, tmp_path / name)
    return RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")


def compared(two, *arguments, capsys):
    status = main([str(two[0].path), str(two[1].path), *arguments])
    return status, capsys.readouterr().out


def changed(run, table, change):
    path = run.table(table)
    pq.write_table(change(pq.read_table(path)), path)


def test_a_copy_is_the_same(two, capsys):
    status, printed = compared(two, capsys=capsys)
    assert status == 0 and "6 of 6 files hold the same" in printed


def test_other_bytes_of_the_same_table_are_the_same(two, capsys):
    path = two[1].table("features")
    pq.write_table(pq.read_table(path), path, compression="none")
    assert path.read_bytes() != two[0].table("features").read_bytes()
    assert compared(two, capsys=capsys)[0] == 0


def test_a_number_that_changed_is_found_with_its_column_and_size(two, capsys):
    def change(table):
        place = table.column_names.index("density")
        values = table["density"].to_pylist()
        values[0] = values[0] * 1.25
        return table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))

    changed(two[1], "features", change)
    status, printed = compared(two, capsys=capsys)
    assert status == 1
    assert "features.parquet: column density differs in 1 of 16 rows, by 0.2 at most" in printed
    assert "5 of 6 files hold the same" in printed
    assert compared(two, "--within", "0.3", capsys=capsys)[0] == 0


def test_rows_and_columns_that_are_missing(two, capsys):
    changed(two[1], "tree", lambda table: table.slice(1))
    changed(two[1], "features", lambda table: table.drop_columns(["density"]))
    two[1].table("bands").unlink()
    status, printed = compared(two, capsys=capsys)
    assert status == 1
    n = pq.read_metadata(two[0].table("tree")).num_rows
    assert f"tree.parquet: {n} rows, {n - 1} rows" in printed
    assert "columns only in a: density" in printed
    assert f"bands.parquet: only in {two[0].path}" in printed


def test_records_are_compared_value_by_value_and_speed_is_not(two, capsys):
    values = json.loads(two[1].levels.read_text())
    values["levels"][1]["fvu"] += 1.0
    two[1].levels.write_text(json.dumps(values))
    lines = [json.loads(line) for line in two[1].metrics.read_text().splitlines()]
    two[1].metrics.write_text("".join(json.dumps(line | {"tokens_per_second": 1.0}) + "\n" for line in lines))
    status, printed = compared(two, capsys=capsys)
    assert status == 1 and "levels.json: levels[1].fvu" in printed and "metrics" not in printed


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert main([str(tmp_path), str(tmp_path)]) == 2
    assert "is no run" in capsys.readouterr().err
