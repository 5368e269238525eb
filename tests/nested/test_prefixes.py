"""Principal components, raw and random orders, on rows whose answer is known."""

from __future__ import annotations

import pytest
import torch

from msae.activations.harvest import harvest
from msae.core.errors import ConfigError
from msae.nested import PcaPrefix, RandomOrder, RawPrefix


def test_components_of_rows_on_known_axes_are_these_axes(drawn):
    rotation = torch.linalg.qr(drawn(6, 6, "rotation")).Q
    scales = torch.tensor([5.0, 3.0, 2.0, 1.0, 0.5, 0.1])
    # Every axis alone, both ways: their covariance is diagonal, exactly.
    plain = torch.cat([torch.eye(6) * scales * s for s in (1.0, -1.0)])
    code = PcaPrefix.fit(plain @ rotation.T + 7, (1, 3, 6))
    assert torch.allclose((code.components.T @ rotation).abs(), torch.eye(6), atol=1e-4)
    assert torch.allclose(code.variance, scales.square() / 6, atol=1e-4)
    assert torch.allclose(code.mean, torch.full((6,), 7.0), atol=1e-4)


def test_a_prefix_leaves_the_least_squared_error_of_all_linear_ones(rows):
    code = PcaPrefix.fit(rows, (4, 12))
    centred = rows - rows.mean(0)
    left = centred - code.transform(rows, 0) @ code.components[:, :4].T
    exact = torch.linalg.svdvals(centred)
    assert left.square().sum().item() == pytest.approx(exact[4:].square().sum().item(), rel=1e-4)


def test_a_store_gives_what_its_rows_give(rows, tmp_path):
    from msae.activations.arrays import ArraySource

    store = harvest(
        ArraySource(rows), [], n_tokens=len(rows), path=tmp_path, dtype="float32", holdout_tokens=0, progress=False
    )
    of_store, of_rows = PcaPrefix.fit(store, (2, 8)), PcaPrefix.fit(rows, (2, 8))
    assert torch.allclose(of_store.transform(rows), of_rows.transform(rows), atol=1e-5)
    assert of_store.source == store.spec and of_rows.source is None


def test_raw_is_the_row_itself(rows):
    code = RawPrefix(12)
    assert code.widths == (12,) and torch.equal(code.transform(rows), rows)
    assert torch.equal(RawPrefix(12, (3, 6)).transform(rows, 0), rows[:, :3])
    with pytest.raises(ConfigError, match="at most 12"):
        RawPrefix(12, (3, 13))


def test_a_random_order_holds_the_same_numbers_and_another_seed_another(rows):
    of = PcaPrefix.fit(rows, (2, 4, 8))
    codes = [RandomOrder(of, seed) for seed in (0, 0, 1)]
    first, same, other = (code.transform(rows) for code in codes)
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert torch.allclose(first.sort(1).values, of.transform(rows).sort(1).values)


def test_rows_that_are_not_finite_are_refused(rows):
    wrong = rows.clone()
    wrong[3, 2] = float("nan")
    with pytest.raises(ConfigError, match="not finite"):
        PcaPrefix.fit(wrong, (2,))
    for shape in ((0, 4), (3,)):
        with pytest.raises(ConfigError, match="rows has shape"):
            PcaPrefix.fit(torch.zeros(shape), (2,))
