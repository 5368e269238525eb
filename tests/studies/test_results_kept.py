"""Results are replaced together or not at all: what is refused, fails or is killed leaves the good ones."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import msae
from msae.analysis.all_measurements import MEASUREMENTS
from msae.core.errors import BusyError, EvaluationError
from msae.studies import analyze_run as analysis
from msae.studies import compare_run, evaluate_run
from msae.studies.info import describe


@pytest.fixture
def run(make, tmp_path) -> msae.Run:
    store = make.store(tmp_path / "acts", n_tokens=3000)
    return make.run(store, tmp_path / "run")


def analyzed(run: msae.Run, **settings) -> analysis.Analysis:
    return analysis.analyze_run(run, **({"tokens": 2000, "concept_tokens": 0, "progress": False} | settings))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class BrokenError(Exception):
    pass


def broken(*arguments, **settings):
    raise BrokenError


def test_an_analysis_that_is_refused_leaves_the_one_there_is(run, tmp_path):
    analyzed(run)
    before = contents(run.path)
    pq.write_table(pa.table({"label": ["x"]}), tmp_path / "labels.parquet")
    for refused in (
        {"tokens": 0},
        {"concepts": tmp_path / "nowhere.parquet", "concept_tokens": 100},
        {"concepts": tmp_path / "labels.parquet", "concept_tokens": 100},
        {"concepts": tmp_path / "labels.parquet", "concept_tokens": 0},
        {"store": tmp_path / "nowhere"},
        {"device": "no such device"},
    ):
        with pytest.raises(msae.MsaeError):
            analyzed(run, **refused)
        assert contents(run.path) == before, refused


@pytest.mark.parametrize("place", ["collect", "write_tables", "rate_figure", "write_json", "the last measurement"])
def test_an_analysis_that_fails_leaves_the_one_there_is(run, monkeypatch, place):
    analyzed(run)
    before = contents(run.path)
    if place == "the last measurement":
        monkeypatch.setattr(MEASUREMENTS[-1], "run", broken)
    else:
        monkeypatch.setattr(analysis, place, broken)
    with pytest.raises(BrokenError):
        analyzed(run, tokens=1000)
    assert contents(run.path) == before
    assert not list(run.results.glob(".*"))


def test_an_analysis_that_fails_where_there_was_none_leaves_nothing(run, monkeypatch):
    monkeypatch.setattr(analysis, "collect", broken)
    with pytest.raises(BrokenError):
        analyzed(run)
    assert not run.results.exists()


def test_tables_of_the_analysis_before_go_with_it(run):
    found = analyzed(run)
    extra = run.folder.table("probes")
    pq.write_table(found.tables["features"], extra)
    mine = run.results / "mine.parquet"
    pq.write_table(found.tables["features"], mine)
    text = run.folder.analysis.read_text().replace('"features.parquet"', '"features.parquet",\n    "probes.parquet"')
    run.folder.analysis.write_text(text)
    analyzed(run)
    assert not extra.exists(), "it was written by the analysis that was replaced, and this one has no such table"
    assert mine.exists()


@pytest.mark.parametrize("place", ["levels_figure", "write_html"])
def test_an_evaluation_that_fails_leaves_the_one_there_is(run, monkeypatch, place):
    evaluate_run.evaluate_run(run, n_tokens=500, progress=False)
    before = contents(run.path)
    monkeypatch.setattr(evaluate_run, place, broken)
    with pytest.raises(BrokenError):
        evaluate_run.evaluate_run(run, n_tokens=300, progress=False)
    assert contents(run.path) == before


def test_a_comparison_that_fails_leaves_the_one_there_is(run, make, monkeypatch, tmp_path):
    other = make.run(msae.ActivationStore.open(tmp_path / "acts"), tmp_path / "other", seed=8)
    settings = {"ce": False, "n_tokens": 800, "eval_tokens": 300, "progress": False}
    compare_run.compare_with(run, [other.path], **settings)
    before = contents(run.path)
    monkeypatch.setattr(compare_run, "write_json", broken)
    with pytest.raises(BrokenError):
        compare_run.compare_with(run, [other.path], **(settings | {"n_tokens": 500}))
    assert contents(run.path) == before


def test_two_analyses_of_one_run_do_not_mix(run, monkeypatch):
    real, tried = analysis.collect, []

    def meanwhile(*arguments, **settings):
        with pytest.raises(BusyError, match="another process is"):
            analyzed(run)
        tried.append(True)
        return real(*arguments, **settings)

    monkeypatch.setattr(analysis, "collect", meanwhile)
    analyzed(run)
    assert tried


def test_an_analysis_killed_at_any_moment_of_putting_its_files_in_place(run, killed_after, monkeypatch):
    """From the moment on when all files are written: the run has the old ones, or the next writer gives it the new."""
    evaluate_run.evaluate_run(run, n_tokens=500, progress=False)
    analyzed(run)
    old = contents(run.results)
    analyzed(run, tokens=1000)
    new = contents(run.results)
    assert old.keys() == new.keys() and old != new
    seen, step = set(), 300
    while killed_after(step, lambda: analyzed(run)):
        shown = describe(run.path)
        with evaluate_run.results_written_to(run.results):
            pass
        found = contents(run.results)
        assert found in (old, new), step
        assert ("left by a kill" in shown) or found == new
        seen.add(found == old)
        step += 40
    assert contents(run.results) == old and seen <= {True, False}


def test_what_a_killed_analysis_left_is_shown_and_cleared_by_the_next(run, killed_after):
    step = 0
    while not list(run.results.glob(".msae-codes-*")) and killed_after(step, lambda: analyzed(run)):
        step += 10
    assert list(run.results.glob(".msae-codes-*"))
    assert "left by a kill" in describe(run.path) and ".msae-codes-" in describe(run.path)
    analyzed(run)
    assert not list(run.results.glob(".*")) and "left by a kill" not in describe(run.path)


def test_labels_that_name_no_document_are_refused_before_the_pass(run, monkeypatch, tmp_path):
    monkeypatch.setattr(analysis, "collect", broken)
    table = pa.table({"document": ["nowhere"], "offset": [1], "label": ["x"]})
    pq.write_table(table, tmp_path / "labels.parquet")
    with pytest.raises(EvaluationError, match="labels no document of this store"):
        analyzed(run, concepts=tmp_path / "labels.parquet", concept_tokens=100)
