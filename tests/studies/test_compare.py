from __future__ import annotations

import io

import pandas as pd
import pytest
import torch
from rich.console import Console

import msae
from msae.analysis.hierarchy.matching import BY_BOTH
from msae.analysis.levels.evaluate import evaluate_rows
from msae.analysis.tables import read_table
from msae.core.errors import CheckpointError, ConfigError, MismatchError


@pytest.fixture(scope="module")
def side_by_side(nested):
    return msae.compare_runs({"nested": nested.run, "independent": nested.run.path / "independent"})


def test_nested_and_independent_stand_level_beside_level(nested, side_by_side):
    levels = side_by_side.levels
    assert list(zip(levels["run"], levels["level"], levels["width"], strict=True)) == [
        ("nested", 0, 6), ("nested", 1, 24), ("independent", 0, 6), ("independent", 1, 24)]  # fmt: skip
    own = evaluate_rows(nested.run.sae, nested.store.holdout, n_tokens=nested.store.holdout.n_rows, progress=False)
    assert levels["fvu"][:2].tolist() == pytest.approx([row.fvu for row in own.levels])
    assert levels["ce_recovered"].isna().all()  # no language model
    assert set(side_by_side.overlap["a"]) == {"nested", "independent/6", "independent/24"}
    assert (side_by_side.overlap["share"] <= 1).all()
    assert (side_by_side.overlap["by_both"] <= side_by_side.overlap["matched"]).all()
    rate = side_by_side.rate
    assert len(rate) == 4 * 5 and set(rate.groupby("run")["level"].nunique()) == {2}
    assert (rate[["bits", "fvu"]] > 0).all(axis=None)


def test_a_run_finds_itself_again(nested):
    again = msae.compare_runs({"a": nested.run, "b": nested.run.sae}, store=nested.store, ce=False)
    live = again.overlap["live"].tolist()
    assert again.overlap["matched"].tolist() == live and again.overlap["by_both"].tolist() == live
    assert again.overlap["share"].tolist() == [1, 1]
    matches = again.matches
    assert (matches["latent_a"] == matches["latent_b"]).all() and set(matches["matched"]) == {BY_BOTH}
    assert matches["cosine"].to_numpy() == pytest.approx(1, abs=1e-5)


def test_levels_of_one_sae(nested):
    found = msae.compare_levels(nested.run)
    assert found.levels["width"].tolist() == [6, 24]
    pairs = found.pairs.to_pandas()
    assert set(pairs["level_a"]) == {0} and set(pairs["level_b"]) == {1}
    assert (pairs["latent_a"] < 6).all() and (pairs["latent_b"] >= 6).all()
    assert found.overlap["a"].tolist() == ["level 0", "level 1"]
    same = msae.compare_levels(nested.run.sae, nested.store)
    assert same.pairs.drop_columns(["sae_a", "sae_b"]).equals(found.pairs.drop_columns(["sae_a", "sae_b"]))


def test_it_is_drawn_shown_and_written(nested, side_by_side, tmp_path):
    figure = side_by_side.figure()
    names = {trace.name for trace in figure.data if trace.type == "scatter"}
    assert {"nested", "independent"} <= names
    said = Console(width=160, record=True, file=io.StringIO())
    said.print(side_by_side)
    text = said.export_text()
    assert "What each level is worth" in text and "independent/24" in text and "ce_recovered" not in text
    assert "<table" in side_by_side._repr_html_() and "nested" in side_by_side._repr_html_()
    assert repr(side_by_side).startswith("Comparison(nested (2 levels), independent (2 levels) on 8,000 tokens")
    assert isinstance(side_by_side.matches, pd.DataFrame)
    side_by_side.write(tmp_path)
    assert read_table(tmp_path / "compare_pairs.parquet").equals(side_by_side.pairs)
    assert read_table(tmp_path / "compare_levels.parquet").num_rows == 4


def test_refusals(nested, make, tmp_path):
    with pytest.raises(ConfigError, match="one SAE was given"):
        msae.compare_runs([nested.run])
    with pytest.raises(ConfigError, match="called"):
        msae.compare_runs([nested.run, nested.run.path])
    with pytest.raises(ConfigError, match="no run was given"):
        msae.compare_runs([])
    with pytest.raises(ConfigError, match="one level"):
        msae.compare_levels(nested.baselines[6])
    with pytest.raises(ConfigError, match="name a store"):
        msae.compare_levels(nested.run.sae)
    with pytest.raises(CheckpointError, match="no run"):
        msae.compare_runs([nested.run, tmp_path])
    with pytest.raises(ConfigError, match="as the levels of one series"):
        msae.compare_runs([[nested.run, nested.baselines[6]]])
    narrow = msae.SparseAutoencoder(8, 16, msae.BatchTopK(k=2))
    with pytest.raises(MismatchError, match="d_in = 8"):
        msae.compare_runs([nested.run, narrow])
    other = make.run(make.store(tmp_path / "acts", seed=1), tmp_path / "other")
    with pytest.raises(MismatchError, match="revision"):
        msae.compare_runs([nested.run, other])


def test_an_sae_that_never_fires_here_is_refused(nested):
    silent = msae.load(nested.run.path)
    with torch.no_grad():
        silent.threshold.fill_(1e6)
    with pytest.raises(msae.MsaeError, match="not one latent fires"):
        msae.compare_levels(silent, nested.store)
