"""A few rows of 100 times the norm: seen, told, and left out where that is requested. The truth: 64 sparse features."""

from __future__ import annotations

import pytest
import torch

import msae
from msae.core.rng import torch_stream
from msae.sae.metrics import fvu
from msae.studies.evaluate_run import evaluate_run
from msae.studies.info import describe

D_IN, N_ROWS, SINKS = 24, 12_000, 0.002


def rows_of_features() -> tuple[torch.Tensor, torch.Tensor]:
    """Sparse sums of random directions, and which rows are sinks."""
    generator = torch_stream(0, "test/sinks")
    directions = torch.nn.functional.normalize(torch.randn(64, D_IN, generator=generator), dim=1)
    codes = (torch.rand(N_ROWS, 64, generator=generator) < 4 / 64) * (1 + torch.rand(N_ROWS, 64, generator=generator))
    x = codes @ directions
    sink = torch.rand(N_ROWS, generator=generator) < SINKS
    special = torch.nn.functional.normalize(torch.randn(3, D_IN, generator=generator), dim=1)
    which = torch.randint(3, (int(sink.sum()),), generator=generator)
    x[sink] += 100 * x.norm(dim=1).mean() * special[which]
    return x, sink


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A store of them, harvested as any other."""
    x, sink = rows_of_features()
    path = tmp_path_factory.mktemp("sinks") / "acts"
    with pytest.warns(UserWarning, match="above 10 x the median"):
        store = msae.harvest(
            msae.ArraySource(x), (), n_tokens=10_000, holdout_tokens=1_500, path=path, dtype="float32", progress=False
        )
    return store, x[~sink]


def trained(store, path):
    sae = msae.SparseAutoencoder(D_IN, 96, msae.BatchTopK(k=4), msae.FixedPrefixes((24, 96)))
    config = msae.TrainConfig(n_tokens=60_000, batch_size=256, lr=3e-3)
    return msae.train(sae, store, config, path, progress=False)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return trained(data[0], tmp_path_factory.mktemp("runs") / "all")


def test_the_figures_over_all_rows_hide_what_those_on_ordinary_rows_show(data, run):
    """What is recorded on ordinary rows is what rows that were never sinks give."""
    _, ordinary = data
    last = run.sae.recorded[-1]
    with torch.no_grad():
        truth = fvu(ordinary, run.sae.reconstruct(ordinary))
    assert last.fvu < 0.1 < 0.3 < last.fvu_ordinary
    assert last.fvu_ordinary == pytest.approx(truth, abs=0.06)


def test_eval_and_info_show_both(data, run):
    table = evaluate_run(run, progress=False)
    holdout = data[0].holdout
    assert table.sample.n_sinks == holdout.norm_summary.n_sinks > 0
    assert table.sample.sink_norm == pytest.approx(holdout.norm_summary.sink_norm, rel=1e-6)
    for row, record in zip(table.levels, run.sae.recorded, strict=True):
        assert (row.fvu, row.fvu_ordinary) == pytest.approx((record.fvu, record.fvu_ordinary), rel=1e-4)
    shown = table.shown().html()
    assert "FVU ordinary" in shown and "are sinks, of a norm above" in shown
    assert msae.LevelTable.read(run.folder.levels) == table
    about = describe(run.path)
    assert f"({table.levels[-1].fvu_ordinary:.4f} on ordinary rows, without sinks)" in about
    assert about.count("on ordinary rows") == 2 * len(table.levels)


def test_a_sample_without_sinks_has_one_fvu(data, run):
    _, ordinary = data
    table = msae.evaluate_rows(run.sae, ordinary, progress=False)
    assert table.sample.n_sinks == 0 and "FVU ordinary" not in table.shown().html()
    assert table.levels[-1].fvu_ordinary == pytest.approx(table.levels[-1].fvu)


def test_a_store_without_its_sinks_is_the_store_of_the_other_rows(data):
    store, _ = data
    view, x = store.ordinary(), store.rows(0, store.n_rows)
    kept = x.norm(dim=1) <= store.norm_summary.sink_norm
    assert 0 < store.n_rows - view.n_rows == int((~kept).sum()) == store.norm_summary.n_sinks
    assert torch.equal(view.rows(0, view.n_rows), x[kept])
    for start, stop in ((0, 1), (700, 1_900), (view.n_rows - 5, view.n_rows), (3, 3)):
        assert torch.equal(view.rows(start, stop), x[kept][start:stop])
        assert torch.equal(view.tokens(start, stop).document, store.tokens(0, store.n_rows).document[kept][start:stop])
    assert torch.equal(view.gather([(5, 9), (2_000, 4_000)]), torch.cat([x[kept][5:9], x[kept][2_000:4_000]]))
    assert torch.allclose(view.mean, x[kept].mean(0), atol=1e-5)
    assert view.mean_squared_norm == pytest.approx(x[kept].square().sum(1).mean().item(), rel=1e-5)
    assert view.variance == pytest.approx(x[kept].double().var(0, correction=0).sum().item(), rel=1e-5)
    assert not view.norm_summary.sinks_rule and view.ordinary() is view
    batch = next(iter(view.batches(256, seed=0, prefetch=False)))
    assert batch.norm(dim=1).max() <= store.norm_summary.sink_norm


def test_in_a_holdout_without_sinks_they_stand_as_special_tokens_do(data):
    store, _ = data
    view, holdout = store.ordinary().holdout, store.holdout
    kept = holdout.norms(0, holdout.n_rows) <= store.norm_summary.sink_norm
    assert 0 < view.n_rows == int(kept.sum()) < holdout.n_rows
    whole, marked = (torch.cat([batch.keep.flatten() for batch in own.contexts(7)]) for own in (holdout, view))
    assert torch.equal(marked[whole], kept)


def test_a_run_without_sinks_is_better_on_ordinary_rows_and_is_measured_on_them(data, run, tmp_path):
    store, ordinary = data
    without = trained(store.ordinary(), tmp_path / "ordinary")
    assert without.source.special_rows == without.sae.source.special_rows == "left out, and so are sinks"
    last, before = without.sae.recorded[-1], run.sae.recorded[-1]
    assert last.fvu_ordinary is None and last.fvu < 0.8 * before.fvu_ordinary
    with torch.no_grad():
        assert fvu(ordinary, without.sae.reconstruct(ordinary)) == pytest.approx(last.fvu, abs=0.05)
    table = evaluate_run(without, progress=False)
    assert table.sample.n_tokens == store.ordinary().holdout.n_rows and table.sample.n_sinks == 0
    assert table.levels[-1].fvu == pytest.approx(last.fvu, rel=1e-3)
    assert msae.ActivationStore.open_for(store.path, without.source).fingerprint == without.store_fingerprint
    assert msae.ActivationStore.open_for(store.path, run.source).fingerprint == run.store_fingerprint
