"""Tables are read a part at a time, again when they change, and never half."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from msae.core.errors import CheckpointError, MsaeError
from msae_dashboards.data import sorted_table
from msae_dashboards.data.sorted_table import SortedTable
from msae_dashboards.data.tables import MissingTableError, RunTables


@pytest.mark.parametrize("in_order", [True, False])
def test_rows_of_a_value_whatever_the_order(tmp_path, in_order, monkeypatch) -> None:
    monkeypatch.setattr(sorted_table, "HELD_BYTES", 1)
    generator = np.random.default_rng(0)
    latent = generator.integers(0, 50, 1000)
    latent = np.sort(latent) if in_order else latent
    table = pa.table({"nested": [[int(x)] for x in latent], "latent": latent, "row": np.arange(1000)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=64)
    read = SortedTable(tmp_path / "t.parquet")
    for value in (0, 17, 49):
        assert read.rows("latent", value)["row"].to_pylist() == np.flatnonzero(latent == value).tolist()
    assert read.rows("latent", 50).num_rows == 0
    assert len(read._held) == 1


def test_only_the_groups_of_a_latent_are_decoded(tmp_path) -> None:
    pq.write_table(pa.table({"latent": np.arange(1000)}), tmp_path / "t.parquet", row_group_size=100)
    read = SortedTable(tmp_path / "t.parquet")
    read.rows("latent", 150)
    assert list(read._held) == [1]


def test_the_tables_of_a_run(demo_run) -> None:
    tables = RunTables(demo_run.path)
    examples = pq.read_table(demo_run.results / "examples.parquet").to_pylist()
    for latent in (0, 64, 127):
        assert tables.rows("examples", latent) == [row for row in examples if row["latent"] == latent]
    assert tables.levels().levels[0].width == 16
    assert tables.metrics()[-1]["tokens"] == 120_000 // 2048 * 2048 or tables.metrics()
    assert tables.features() is tables.features()
    assert tables.analysis()["sample"]["n_tokens"] == 12_000


def test_rows_where_any_of_some_columns_has_a_value(demo_run) -> None:
    tables, pairs = RunTables(demo_run.path), pq.read_table(demo_run.results / "pairs.parquet").to_pylist()
    latent = pairs[len(pairs) // 2]["b"]
    assert tables.where("pairs", latent, "a", "b") == [row for row in pairs if latent in (row["a"], row["b"])] != []
    assert tables.where("pairs", latent, "b") == [row for row in pairs if row["b"] == latent]
    assert tables.where("pairs", -1, "a", "b") == []


def test_a_table_that_changed_is_read_again(demo_run, tmp_path) -> None:
    shutil.copytree(demo_run.path, tmp_path / "run")
    tables = RunTables(tmp_path / "run")
    file = tables.path_of("analysis")
    content = tables.analysis()
    file.write_text(json.dumps({**content, "notes": ["changed"]}))
    assert tables.analysis()["notes"] == ["changed"]
    before = tables.features()
    table = pq.read_table(tables.path_of("features"))
    pq.write_table(table.set_column(table.column_names.index("max"), "max", pa.array([7.0] * len(before))),
                   tables.path_of("features"))  # fmt: skip
    assert tables.features().max.tolist() == [7.0] * len(before)


def test_a_missing_table_names_the_command(demo_run, tmp_path) -> None:
    shutil.copytree(demo_run.path, tmp_path / "run")
    tables = RunTables(tmp_path / "run")
    for name in ("tree", "features", "levels"):
        tables.path_of(name).unlink()
    with pytest.raises(MissingTableError) as of_tree:
        tables.table("tree")
    assert of_tree.value.command == f"msae analyze {tmp_path / 'run'}"
    with pytest.raises(MissingTableError, match="msae eval"):
        tables.levels()
    with pytest.raises(MissingTableError, match="msae analyze"):
        tables.features()
    tables.path_of("pairs").write_bytes(b"PAR1 and no more")
    with pytest.raises(MissingTableError, match="cannot be read"):
        tables.table("pairs")


def test_what_is_no_run_is_refused(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="not a run"):
        RunTables(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "has no 'tree': it was altered"),
        ('{"tree": {}}', "'tree' of .* has no 'edges': it was altered"),
        ('{"tree": null}', r"is not what msae writes \(tree\)"),
        ('{"notes": [1]}', r"is not what msae writes \(notes\)"),
    ],
)
def test_a_record_that_was_altered_says_what_it_lacks(demo_run, tmp_path, content, says):
    shutil.copytree(demo_run.path, tmp_path / "run")
    (tmp_path / "run" / "results" / "analysis.json").write_text(content)
    with pytest.raises(MsaeError, match=says):
        _ = RunTables(tmp_path / "run").analysis()["tree"]["edges"]
