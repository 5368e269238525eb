"""Which latents an export shows."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from msae.core.errors import ConfigError
from msae_dashboards.data.tables import RunTables
from msae_dashboards.export import selection


@pytest.fixture(scope="module")
def tables(demo_run):
    return RunTables(demo_run.path)


def test_a_list_is_kept_in_order_without_repetition(tables):
    assert selection.listed(tables, [5, 2, 5, 9]) == [5, 2, 9]
    for wrong in (-1, 128):
        with pytest.raises(ConfigError, match=rf"features = {wrong}: expected numbers of latents, 0 to 127"):
            selection.listed(tables, [wrong])


def test_a_level_is_its_band(tables):
    assert selection.of_level(tables, 1) == list(range(16, 48))
    with pytest.raises(ConfigError, match="level = 3: expected a level, 0 to 2"):
        selection.of_level(tables, 3)


@pytest.mark.parametrize("column", ["density", "max", "f1", "n_tokens"])
def test_the_top_are_the_largest(tables, column):
    found = selection.top(tables, 10, column)
    table = tables.table("explanations" if column == "f1" else "features")
    values = np.array(table[column].to_numpy(), dtype=float)
    assert len(found) == 10 and np.all(np.diff(values[found]) <= 0)
    assert np.nanmax(np.delete(values, found)) <= values[found].min()


def test_latents_without_a_value_are_left_out(tables):
    explained = int(np.isfinite(tables.features().f1).sum())
    assert 0 < explained < 128
    assert len(selection.top(tables, 128, "f1")) == explained


def test_a_wrong_column_is_named_with_those_there_are(tables):
    with pytest.raises(ConfigError, match=r"densty.*did you mean 'density'.*known: .*'precision'"):
        selection.top(tables, 3, "densty")
    with pytest.raises(ConfigError, match="top_tokens"):
        selection.top(tables, 3, "top_tokens")


@pytest.fixture
def families(demo_run, tmp_path):
    """Families of a tree given by hand, as (parent, child, strength); levels are 0 … 15, 16 … 47, 48 … 127."""

    def of(edges, f1, n):
        run = tmp_path / "run"
        shutil.copytree(demo_run.path, run, ignore=shutil.ignore_patterns("tree.parquet", "explanations.parquet"))
        parents, children, strengths = zip(*edges, strict=True)
        pq.write_table(
            pa.table({"parent": parents, "child": children, "strength": strengths}), run / "results/tree.parquet"
        )
        said = {"latent": list(f1), "explanation": ["said"] * len(f1), "f1": list(f1.values())}
        pq.write_table(pa.table(said), run / "results/explanations.parquet")
        return selection.families(RunTables(run), n)

    return of


def test_families_are_parents_that_split_then_their_children_and_theirs(families):
    edges = [
        (2, 20, 0.5),
        (2, 50, 0.9),
        (20, 60, 0.4),
        (3, 21, 0.8),
        (7, 22, 0.3),
        (7, 23, 0.2),
        (30, 61, 0.3),
        (30, 62, 0.6),
    ]
    f1 = {2: 0.5, 3: 0.9, 7: 0.8, 30: 0.1, 99: 0.7}
    # 7 before 2 (its F1), 30 in its turn, 3 does not split; then the best explained: 3, 99.
    assert families(edges, f1, 12) == [7, 22, 23, 30, 62, 61, 2, 50, 20, 60, 3, 99]


def test_a_large_family_is_cut_to_its_strongest_children(families):
    edges = [(0, 50 + child, child / 10) for child in range(9)]
    assert families(edges, {0: 0.9, 1: 0.8}, 8) == [0, 58, 57, 56, 55, 54, 53, 1]


def test_families_stop_at_everything(tables):
    assert sorted(selection.families(tables, 500)) == list(range(128))
    with pytest.raises(ConfigError, match="top = 0"):
        selection.families(tables, 0)
