from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msae.core.errors import CheckpointError, ConfigError
from msae.sae import (
    BatchTopK,
    FixedPrefixes,
    JumpReLU,
    LevelRecord,
    ReLU,
    SampledPrefixes,
    SparseAutoencoder,
    SparseCodes,
    TopK,
    Unnested,
)
from msae.sae.losses import level_losses

WIDTHS = (4, 10, 24)
FNS = [BatchTopK(k=3), TopK(k=3), JumpReLU(l0=3), ReLU(l1_coefficient=0.1)]


def ready(fn, nesting=None, seed=0):
    sae = SparseAutoencoder(8, 24, fn, nesting or FixedPrefixes(WIDTHS), seed=seed, dtype=torch.float64)
    with torch.no_grad():
        sae.threshold.fill_(0.8)
        sae.b_dec += 0.3
    return sae.eval()


def rows(n=50, seed=1):
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("fn", FNS, ids=str)
def test_a_level_is_the_decoding_of_the_codes_below_its_width(fn):
    sae, x = ready(fn), rows()
    codes = sae.encode(x)
    levels = sae.reconstruct_levels(x)
    for level, width in enumerate(WIDTHS):
        dense = codes.dense()[:, :width] @ sae.W_dec[:width] + sae.b_dec
        assert torch.allclose(levels[level], dense)
        assert torch.allclose(sae.reconstruct(x, level), dense)
        assert torch.allclose(sae.decode(codes.below(width)), dense)
    assert torch.allclose(sae(x), levels[-1])


@pytest.mark.parametrize("fn", FNS, ids=str)
def test_unnested_is_one_full_width_prefix(fn):
    plain, nested = ready(fn, Unnested()), ready(fn, FixedPrefixes((24,)))
    assert torch.equal(plain(rows()), nested(rows()))
    assert plain.prefix_widths == nested.prefix_widths == (24,)


@pytest.mark.parametrize("fn", [BatchTopK(k=3), JumpReLU(l0=3), ReLU(l1_coefficient=0.1)], ids=str)
def test_a_truncated_level_has_the_codes_it_had(fn):
    sae, x = ready(fn), rows()
    small = sae.truncate(1)
    assert small.prefix_widths == WIDTHS[:2] and not small.training
    assert torch.allclose(small.encode(x).dense(), sae.encode(x).below(10).dense(), atol=1e-12)
    assert torch.allclose(small(x), sae.reconstruct(x, 1))


def test_a_truncated_topk_takes_its_level_s_measured_l0():
    sae = ready(TopK(k=3))
    with pytest.raises(CheckpointError, match="measured L0"):
        sae.truncate(1)
    sae.recorded = tuple(LevelRecord(width=w, l0=l0, fvu=0.5) for w, l0 in zip(WIDTHS, (0.9, 1.8, 3.0), strict=True))
    assert sae.truncate(1).activation_fn == TopK(k=2)
    assert sae.truncate(2).activation_fn == TopK(k=3)


def test_permuting_latents_inside_a_level_changes_no_loss():
    sae, x = ready(BatchTopK(k=3)), rows()
    before = level_losses(x, sae.reconstruct_levels(x), 1.0)
    order = torch.cat([torch.arange(4).flip(0), 4 + torch.randperm(6), 10 + torch.randperm(14)])
    with torch.no_grad():
        sae.W_enc.copy_(sae.W_enc[:, order].clone())
        sae.W_dec.copy_(sae.W_dec[order].clone())
        sae.b_enc.copy_(sae.b_enc[order].clone())
    assert torch.allclose(level_losses(x, sae.reconstruct_levels(x), 1.0), before)


def test_levels_and_bands_cover_the_latents_once():
    sae = ready(BatchTopK(k=3))
    assert sae.level_of.tolist() == [0] * 4 + [1] * 6 + [2] * 14
    assert [sae.band(level) for level in range(3)] == [slice(0, 4), slice(4, 10), slice(10, 24)]
    with pytest.raises(ConfigError, match="levels 0 … 2"):
        sae.width(3)


def test_training_mode_depends_on_the_batch_and_evaluation_does_not():
    sae, x = ready(BatchTopK(k=3)), rows()
    alone = torch.cat([sae.encode(row[None]).dense() for row in x])
    assert torch.allclose(sae.encode(x).dense(), alone, atol=1e-12)
    assert len(sae.train().encode(x)) == 150


def test_without_a_threshold_evaluation_is_refused():
    sae = SparseAutoencoder(8, 24, BatchTopK(k=3))
    with pytest.raises(CheckpointError, match="no threshold"):
        sae.eval().encode(torch.randn(2, 8))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"activation_fn": BatchTopK(k=25)}, "d_sae = 24"),
        ({"activation_fn": TopK(k=0)}, "whole number"),
        ({"nesting": FixedPrefixes((4, 10))}, "end at d_sae = 24"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(settings, says):
    with pytest.raises(ConfigError, match=says):
        SparseAutoencoder(8, 24, **settings)


def test_rows_of_another_width_are_refused():
    with pytest.raises(ConfigError, match="d_in = 8"):
        ready(BatchTopK(k=3)).encode_dense(torch.zeros(2, 9, dtype=torch.float64))


@given(st.integers(1, 300), st.integers(1, 12), st.integers(0, 50))
def test_sampled_prefixes_are_distinct_increasing_and_end_at_d_sae(d_sae, n, seed):
    widths = SampledPrefixes(n=n).train_widths(d_sae, torch.Generator().manual_seed(seed))
    assert len(widths) == min(n, d_sae) == len(set(widths))
    assert list(widths) == sorted(widths) and widths[0] >= 1 and widths[-1] == d_sae


def test_sampled_prefixes_follow_their_distribution():
    """P(m ≤ d_sae / 4) = (1/4)^0.5 = 1/2 for a single draw."""
    generator = torch.Generator().manual_seed(0)
    draws = [SampledPrefixes(n=2).train_widths(4096, generator)[0] for _ in range(2000)]
    assert abs(sum(m <= 1024 for m in draws) / 2000 - 0.5) < 4 * (0.25 / 2000) ** 0.5


def test_level_weights_by_hand():
    assert FixedPrefixes((1, 2, 3)).weights(3) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    total = 0.5625 + 0.75 + 1
    assert FixedPrefixes((1, 2, 3), "balanced").weights(3) == pytest.approx((0.5625 / total, 0.75 / total, 1 / total))
    assert FixedPrefixes((1, 2), (1.0, 3.0)).weights(2) == (0.25, 0.75)


@pytest.mark.parametrize("widths", [(), (0, 4), (4, 4), (8, 4)], ids=str)
def test_widths_must_increase(widths):
    with pytest.raises(ConfigError, match="increasing"):
        FixedPrefixes(widths)


def test_codes_go_dense_and_back():
    dense = torch.tensor([[0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0]])
    codes = SparseCodes.from_dense(dense)
    assert torch.equal(codes.dense(), dense)
    assert codes.row_offsets().tolist() == [0, 2, 2] and codes.l0() == 1.0
    assert torch.equal(codes.below(2).dense(), dense[:, :2])
