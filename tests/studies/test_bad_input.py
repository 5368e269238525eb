"""What cannot be measured is refused, or said in the table: for `analyze_run`, `compare_levels`, `compare_runs` and the
command line."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from safetensors.torch import load_file, save_file

import msae
from msae.analysis.tables import Status, read_table
from msae.cli import main
from msae.core.errors import ConfigError, EvaluationError, MismatchError, StoreError
from msae.studies import compare
from tests.damage import record_again

SMALL = {"n_tokens": 2000, "eval_tokens": 500}


def with_nan(store: msae.ActivationStore, to: Path, part: str = "") -> Path:
    """A copy of `store` with a NaN in row 100 (of the holdout, for that `part`)."""
    shutil.copytree(store.path, to)
    (file,) = (to / part).glob("acts-*.safetensors")
    tensors = load_file(file)
    tensors["acts"][100, 3] = math.nan
    save_file(tensors, file)
    record_again(to)
    return to


def muted(run: msae.Run, latents: slice) -> msae.SparseAutoencoder:
    sae = msae.load(run.path)
    with torch.no_grad():
        sae.b_enc[latents] = -1e6
    return sae


def numbers(table: pa.Table) -> list[float]:
    floats = [column for column in table.columns if pa.types.is_floating(column.type)]
    return [value for column in floats for value in pc.drop_null(column).to_pylist()]


def measurements(nested, **settings):
    """The three, by name, as functions of a store."""
    small = SMALL | settings
    return {
        "analyze_run": lambda store: msae.analyze_run(nested.run, store=store, tokens=2000, progress=False),
        "compare_levels": lambda store: msae.compare_levels(nested.run, store, **small),
        "compare_runs": lambda store: msae.compare_runs([nested.run, nested.baselines[24]], store, **small),
    }


@pytest.fixture(scope="module")
def damaged(nested, make, tmp_path_factory):
    """Stores that must be refused, each with what the refusal says."""
    folder = tmp_path_factory.mktemp("damaged")
    truncated = folder / "truncated"
    shutil.copytree(nested.store.path, truncated)
    (acts,) = truncated.glob("acts-*.safetensors")
    acts.write_bytes(acts.read_bytes()[:-100])
    forest = msae.SyntheticForest(d_in=16, n_roots=4, root_rate=0.2, branching=(2,))
    narrow = make.store(folder / "narrow", n_tokens=1300, forest=forest)
    other = make.store(folder / "other", seed=1, n_tokens=1300)
    return {
        "nan": (with_nan(nested.store, folder / "nan"), EvaluationError, "NaN or infinite .* row 100: harvest again"),
        "truncated": (truncated, StoreError, "acts-00000.safetensors has .* It was truncated or altered"),
        "no store": (folder / "gone", StoreError, "there is no activation store at"),
        "other model": (other.path, MismatchError, "revision"),
        "other width": (narrow.path, MismatchError, "d_in|revision"),
    }


@pytest.mark.parametrize("what", ["nan", "truncated", "no store", "other model", "other width"])
@pytest.mark.parametrize("name", ["analyze_run", "compare_levels", "compare_runs"])
def test_a_store_that_will_not_do_is_refused(nested, damaged, name, what):
    path, error, says = damaged[what]
    with pytest.raises(error, match=says):
        measurements(nested)[name](path)


@pytest.mark.parametrize("what", ["nan", "truncated", "no store", "other model"])
def test_and_so_it_is_on_the_command_line_in_one_line(nested, damaged, what, monkeypatch, capsys, tmp_path):
    path, _, _ = damaged[what]
    shutil.copytree(nested.run.path, tmp_path / "run", ignore=shutil.ignore_patterns("results"))
    monkeypatch.setattr("sys.argv", ["msae", "analyze", str(tmp_path / "run"), "--store", str(path)])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and "msae: " in said and "Traceback" not in said
    assert not list((tmp_path / "run" / "results").glob("[!.]*"))


def test_a_holdout_with_nan_is_refused(nested, tmp_path):
    with pytest.raises(EvaluationError, match="NaN or infinite"):
        msae.compare_levels(nested.run, with_nan(nested.store, tmp_path / "acts", "holdout"), **SMALL)


def test_fewer_tokens_than_matching_by_firing_needs_are_said(nested):
    found = msae.compare_levels(nested.run, n_tokens=12, eval_tokens=12)
    assert set(found.overlap["status"]) == {Status.FEW} and found.overlap["least_phi"].isna().all()
    assert any("live latents fire on fewer than 20 of these tokens" in note for note in found.notes)
    assert Status.FEW in found._repr_html_()
    assert all(map(math.isfinite, numbers(found.pairs)))
    found.figure()
    enough = msae.compare_levels(nested.run, n_tokens=4000, eval_tokens=500)
    assert set(enough.overlap["status"]) == {Status.OK} and "status" not in enough._repr_html_()


@pytest.mark.parametrize("silent", [slice(0, 6), slice(6, 24)], ids=["the first level", "the last level"])
def test_a_level_with_no_live_latent_is_named(nested, silent):
    sae = muted(nested.run, silent)
    found = msae.compare_levels(sae, nested.store, **SMALL)
    assert found.levels["dead"][0 if silent.start == 0 else 1] == silent.stop - silent.start
    assert set(found.overlap["status"]) == {Status.NEVER} and 0 in found.overlap["live"].tolist()
    assert all(map(math.isfinite, numbers(found.pairs)))
    assert found.levels[["l0", "fvu", "bits"]].notna().all(axis=None)
    found.figure()
    both = msae.compare_runs({"silent": sae, "whole": nested.run}, nested.store, **SMALL)
    assert set(both.overlap["status"]) == {Status.OK}
    both.figure()


def test_analyzing_a_run_whose_first_level_is_silent(nested, tmp_path):
    shutil.copytree(nested.run.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "independent")
    probe = nested.store.rows(0, 256)
    shutil.rmtree(tmp_path / "run" / "sae")
    sae = muted(nested.run, slice(0, 6))
    sae.recorded = ()
    msae.save(sae, tmp_path / "run" / "sae", probe=probe)
    found = msae.analyze_run(msae.Run.open(tmp_path / "run"), tokens=2000, progress=False)
    statuses = {name: found.results[name].tables[f"{name}_levels"]["status"].to_pylist() for name in ("splitting",)}
    assert statuses == {"splitting": [Status.NEVER]}
    for file in (tmp_path / "run" / "results").glob("*.parquet"):
        assert all(map(math.isfinite, numbers(read_table(file)))), file


def test_runs_trained_on_other_tokens_are_compared_with_a_note(nested, make, tmp_path):
    again = make.store(tmp_path / "acts", n_tokens=4000)
    assert again.fingerprint != nested.store.fingerprint and again.spec == nested.store.spec
    other = make.run(again, tmp_path / "other")
    found = msae.compare_runs({"a": nested.run, "b": other}, **SMALL)
    assert any("trained on another store's tokens: b." in note for note in found.notes)
    same = msae.compare_runs({"a": nested.run, "c": nested.baselines[24]}, **SMALL)
    assert not any("another store" in note for note in same.notes)


def test_what_is_no_run_is_refused(nested):
    # The types of the public functions are checked in the tests, so what a user would meet is asked for inside.
    with pytest.raises(ConfigError, match="None cannot be compared: give a run"):
        compare._one_series(None, None, 0)
    with pytest.raises(ConfigError, match="n_tokens = 0"):
        msae.compare_levels(nested.run, n_tokens=0)
    with pytest.raises(ConfigError, match="tokens = 0"):
        msae.analyze_run(nested.run, tokens=0, progress=False)
