"""Stores, runs and SAEs made by earlier versions open, and what was unfinished can be gone on with.

`made_before/make.py` made them; the folder below it is named after the version.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import msae
from msae.activations.synthetic import SyntheticForest, SyntheticSource
from msae.analysis.tables import read_table
from msae.studies.info import describe

MADE = Path(__file__).parent / "made_before"
VERSIONS = sorted(path.name for path in MADE.iterdir() if path.is_dir())
FOREST = SyntheticForest(d_in=12, n_roots=4, root_rate=0.2, branching=(2,))


@pytest.fixture(params=VERSIONS)
def made(request, tmp_path, monkeypatch):
    """A copy of what that version made, as the working folder."""
    copy = tmp_path / request.param
    shutil.copytree(MADE / request.param, copy)
    monkeypatch.chdir(copy)
    return copy


def source():
    return SyntheticSource(forest=FOREST, context_size=16)


def documents():
    return [msae.Document(str(number), "") for number in range(100)]


def test_a_store_opens_with_the_fingerprint_it_had(made):
    store = msae.ActivationStore.open("store")
    store.verify()
    assert store.fingerprint == msae.Run.open("run").store_fingerprint
    again = msae.harvest(source(), documents(), n_tokens=800, holdout_tokens=160, path="again", progress=False)
    assert torch.equal(again.rows(0, 800), store.rows(0, 800))
    assert torch.equal(again.holdout.rows(0, 100), store.holdout.rows(0, 100))


def test_a_run_opens_with_its_sae_and_tables(made):
    run = msae.Run.open("run")
    assert run.is_finished and run.prefix_widths == (4, 16) and run.metrics()
    assert run.sae.prefix_widths == (4, 16)  # checked against its own rows on loading
    assert msae.load("run/sae").source == run.source
    assert len(msae.LevelTable.read(run.folder.levels).levels) == 2
    for path in run.folder.tables().values():
        assert read_table(path).num_rows > 0
    assert not run.is_finished or torch.equal(run.sae.W_dec, msae.load("run").W_dec)


def test_info_tells_who_wrote_it(made):
    for folder in ("store", "run", "run/sae"):
        assert "written by" in describe(made / folder)
        assert "msae 0.1.0 or before" in describe(made / folder)


def test_an_unfinished_run_is_gone_on_with(made):
    whole, run = msae.Run.open("run"), msae.Run.open("unfinished")
    store = msae.ActivationStore.open("store")
    resumed = msae.train(run.new_sae(), store, run.train_config, run.path, progress=False)
    assert resumed.version is None, "the record of who began it was rewritten"
    assert torch.allclose(resumed.sae.W_dec, whole.sae.W_dec, atol=1e-3)
    assert [row["step"] for row in resumed.metrics()] == [row["step"] for row in whole.metrics()]


def test_an_unfinished_harvest_says_that_another_version_began_it(made):
    settings = {"n_tokens": 800, "holdout_tokens": 160, "shard_rows": 300, "progress": False}
    before = {path: path.read_bytes() for path in (made / "harvest").rglob("*") if path.is_file()}
    with pytest.raises(msae.MsaeError, match=r"begun by another version of msae \(format 1, this one writes \d\)"):
        msae.harvest(source(), documents(), path="harvest", **settings)
    assert before == {path: path.read_bytes() for path in (made / "harvest").rglob("*") if path.is_file()}
