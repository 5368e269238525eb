from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msae.analysis.levels.rate import (
    RateAccumulator,
    ValueSize,
    binary_entropy,
    default_step,
    entropy_of_counts,
    quantise,
    steps,
)
from msae.core.errors import ConfigError, EvaluationError
from msae.sae import SparseCodes


def codes_of(dense: list[list[float]]) -> SparseCodes:
    return SparseCodes.from_dense(torch.tensor(dense, dtype=torch.float32))


def random_codes(seed: int, n_rows: int = 30, d_sae: int = 12) -> SparseCodes:
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randn(n_rows, d_sae, generator=generator) * torch.rand(d_sae, generator=generator)
    return SparseCodes.from_dense(dense.clamp_min(0.1) - 0.1)


def test_entropies_by_hand():
    bits = binary_entropy(torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64))
    assert bits.tolist() == pytest.approx([0, 2 - 0.75 * math.log2(3), 1, 0])
    assert entropy_of_counts(torch.tensor([0, 5, 5, 5, 5])) == pytest.approx(2)
    assert entropy_of_counts(torch.tensor([7])) == 0
    assert entropy_of_counts(torch.zeros(0, dtype=torch.long)) == 0


def test_bits_by_hand():
    # Latent 0 fires on half the rows, with values 1 and 2; latent 1 on every row, always with 3.
    accumulator = RateAccumulator((1, 2), step=1.0)
    accumulator.update(codes_of([[1, 3], [2, 3], [0, 3], [0, 3]]))
    assert accumulator.firing_bits() == pytest.approx([1, 1])
    assert accumulator.value_bits() == pytest.approx([0.5, 0.5])


@given(st.integers(0, 2**31), st.floats(0.01, 2))
def test_bits_do_not_fall_with_level_nor_depend_on_batches(seed, step):
    codes = random_codes(seed)
    whole = RateAccumulator((2, 5, 12), step)
    whole.update(codes)
    for bits in (whole.firing_bits(), whole.value_bits()):
        assert all(inner <= outer + 1e-12 for inner, outer in itertools.pairwise(bits))
        assert bits[0] >= 0
    parts = RateAccumulator((2, 5, 12), step)
    dense = codes.dense()
    for rows in dense.split(7):
        parts.update(SparseCodes.from_dense(rows))
    assert parts.firing_bits() == pytest.approx(whole.firing_bits())
    assert parts.value_bits() == pytest.approx(whole.value_bits())


@given(st.integers(0, 2**31), st.floats(0.01, 2))
def test_rounding(seed, step):
    codes = random_codes(seed)
    rounded = quantise(codes, step)
    assert (rounded.value > 0).all(), "what fires still fires"
    assert torch.equal(rounded.latent, codes.latent)
    assert torch.allclose((rounded.value / step).round() * step, rounded.value, atol=1e-5)
    nearest = codes.value >= step / 2
    assert ((rounded.value - codes.value)[nearest].abs() <= step / 2 + 1e-5).all()
    assert torch.equal(steps(rounded, step), steps(codes, step))


@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_bits_do_not_depend_on_the_unit_of_the_activations(seed, unit):
    """The nearest power of two, as before, made the same SAE cost an eighth more or less by unit alone."""
    codes = random_codes(seed)
    found = []
    for scaled in (codes, SparseCodes(codes.row, codes.latent, codes.value.double() * unit, codes.n_rows, codes.d_sae)):
        size = ValueSize()
        size.update(scaled)
        accumulator = RateAccumulator((2, 5, 12), default_step(size.rms()))
        accumulator.update(scaled)
        found.append(accumulator.value_bits() + accumulator.firing_bits())
    # A value that lies half way between two steps may fall either way.
    assert found[0] == pytest.approx(found[1], abs=0.05)


def test_the_step_is_that_of_the_whole_sample():
    size = ValueSize()
    assert size.rms() is None
    for batch in ([[0.0, 0.0]], [[1.0, 0.0], [0.0, 7.0]], [[5.0, 5.0]]):
        size.update(codes_of(batch))
    assert size.rms() == pytest.approx((100 / 4) ** 0.5)
    assert default_step(size.rms()) == pytest.approx(5 / 8)


def test_decoder_rows_of_other_lengths_cost_the_same():
    """Latent 1 with a decoder row twice as long and codes half as large is the same latent."""
    codes, norms = codes_of([[1, 4], [2, 6], [0, 3], [3, 0]]), torch.tensor([1.0, 2.0], dtype=torch.float64)
    halved = SparseCodes(codes.row, codes.latent, codes.value / norms[codes.latent].float(), codes.n_rows, codes.d_sae)
    plain, scaled = RateAccumulator((1, 2), step=0.7), RateAccumulator((1, 2), step=0.7, norms=norms)
    rounded, theirs = plain.update(codes), scaled.update(halved)
    assert scaled.value_bits() == plain.value_bits()
    torch.testing.assert_close(theirs.value * norms[codes.latent].float(), rounded.value)


def test_what_each_code_costs_adds_up_to_the_bits():
    codes = random_codes(1)
    accumulator = RateAccumulator((2, 5, 12), step=0.1)
    accumulator.update(codes)
    on, off = accumulator.firing_cost()
    fires = codes.dense() > 0
    assert torch.where(fires, on, off).sum().item() / codes.n_rows == pytest.approx(accumulator.firing_bits()[-1])
    whole, band, cost = steps(codes, 0.1), accumulator.band_of(codes), accumulator.value_cost()
    total = sum(cost[level][whole[band == level]].sum().item() for level in range(3))
    assert total / codes.n_rows == pytest.approx(accumulator.value_bits()[-1])


def test_nothing_fires():
    accumulator = RateAccumulator((1, 2), None)
    accumulator.update(codes_of([[0.0, 0.0]]))
    assert accumulator.firing_bits() == [0, 0]
    assert accumulator.value_bits() == [0, 0]
    with pytest.raises(EvaluationError, match="a quantiser step is needed"):
        accumulator.update(codes_of([[1.0, 0.0]]))


def test_refusals():
    with pytest.raises(ConfigError, match="quantiser_step = 0"):
        RateAccumulator((2,), step=0.0)
    with pytest.raises(EvaluationError, match="no rows"):
        RateAccumulator((2,), 1.0).firing_bits()
