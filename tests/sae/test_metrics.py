from __future__ import annotations

import pytest
import torch

from msae.core.errors import EvaluationError
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder, metrics

X = torch.tensor([[1.0, 0.0], [3.0, 0.0], [2.0, 3.0], [2.0, -3.0]])
HALF = torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 3.0], [2.0, -3.0]])


def test_figures_by_hand():
    """x̄ = (2, 0); Σ‖x − x̄‖² = 1 + 1 + 9 + 9 = 20; Σ‖x − x̂‖² = 1 + 1 = 2."""
    assert metrics.fvu(X, HALF) == pytest.approx(2 / 20)
    assert metrics.ev_legacy(X, HALF) == pytest.approx((0 + 0 + 1 + 1) / 4)
    assert metrics.fvu(X, X.mean(0).expand_as(X)) == 1.0
    assert metrics.cosine(X, X) == pytest.approx(1.0)


def test_streaming_in_any_batches_gives_the_figures_of_the_whole():
    sae = SparseAutoencoder(6, 12, BatchTopK(k=3), FixedPrefixes((4, 12)))
    with torch.no_grad():
        sae.threshold.fill_(0.5)
    sae.eval()
    x = torch.randn(100, 6, generator=torch.Generator().manual_seed(0)) + 2
    accumulator = metrics.LevelAccumulator(sae)
    for piece in x.split([1, 40, 59]):
        accumulator.update(piece)
    for level, row in enumerate(accumulator.figures()):
        with torch.no_grad():
            assert row.fvu == pytest.approx(metrics.fvu(x, sae.reconstruct(x, level)), rel=1e-5)
        assert row.l0 == pytest.approx(sae.encode(x).below(row.width).l0())
        assert row.ev == 1 - row.fvu
    assert accumulator.density().sum().item() == pytest.approx(sae.encode(x).l0())


def test_figures_of_ordinary_rows_are_those_of_the_rows_without_sinks():
    """Rows of 1,000 times the norm come in batches of any kind; the first batch has one too, and its median holds."""
    sae = SparseAutoencoder(6, 12, BatchTopK(k=3), FixedPrefixes((4, 12)))
    with torch.no_grad():
        sae.threshold.fill_(0.5)
    x = torch.randn(100, 6, generator=torch.Generator().manual_seed(0)) + 2
    sink = torch.zeros(100, dtype=torch.bool)
    sink[[3, 50, 99]] = True
    x[sink] *= 1000
    accumulator = metrics.LevelAccumulator(sae.eval())
    for piece in x.split([40, 1, 59]):
        accumulator.update(piece)
    assert accumulator.n_sinks == 3 and 10 < accumulator.sink_norm < 100
    for level, (row, record) in enumerate(zip(accumulator.figures(), accumulator.records(), strict=True)):
        with torch.no_grad():
            expected = metrics.fvu(x[~sink], sae.reconstruct(x[~sink], level))
        assert row.fvu_ordinary == record.fvu_ordinary == pytest.approx(expected, rel=1e-5)
        assert row.l0_ordinary == pytest.approx(sae.encode(x[~sink]).below(row.width).l0())
        assert row.fvu != pytest.approx(row.fvu_ordinary, rel=0.1)


def test_without_sinks_ordinary_rows_are_all_rows():
    sae = SparseAutoencoder(2, 4, BatchTopK(k=1), FixedPrefixes((1, 4)))
    with torch.no_grad():
        sae.threshold.fill_(0.5)
    accumulator = metrics.LevelAccumulator(sae.eval(), sink_norm=1e9)
    accumulator.update(X)
    for row in accumulator.figures():
        assert (row.fvu_ordinary, row.l0_ordinary) == pytest.approx((row.fvu, row.l0))
    assert accumulator.n_sinks == 0 and accumulator.records()[0].fvu_ordinary is None


def test_dead_and_dense_are_counted_in_the_band():
    sae = SparseAutoencoder(2, 4, BatchTopK(k=1), FixedPrefixes((1, 4)))
    with torch.no_grad():
        sae.W_enc.zero_()
        sae.W_enc[0, 0] = sae.W_enc[0, 1] = 1.0
        sae.threshold.fill_(0.5)
    accumulator = metrics.LevelAccumulator(sae.eval())
    accumulator.update(X)
    first, second = accumulator.figures()
    assert (first.band_width, first.dead, first.dense) == (1, 0, 1)
    assert (second.band_width, second.dead, second.dense) == (3, 2, 1)


def test_no_rows_and_rows_that_do_not_vary_are_refused():
    sae = SparseAutoencoder(2, 4, BatchTopK(k=1))
    with torch.no_grad():
        sae.threshold.fill_(0.5)
    accumulator = metrics.LevelAccumulator(sae.eval())
    with pytest.raises(EvaluationError, match="no rows"):
        accumulator.figures()
    accumulator.update(torch.ones(5, 2))
    with pytest.raises(EvaluationError, match="all the same"):
        accumulator.figures()
