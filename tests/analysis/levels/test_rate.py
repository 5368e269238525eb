from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msae.analysis.levels.rate import RateAccumulator, binary_entropy, default_step, entropy_of_counts, quantise, steps
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


def test_the_default_step_is_a_power_of_two_that_scales_with_the_codes():
    codes = codes_of([[8.0, 0.0], [0.0, 8.0]])
    assert default_step(codes) == 1.0
    assert default_step(codes_of([[32.0, 0.0], [0.0, 32.0]])) == 4.0
    accumulator = RateAccumulator((2,))
    accumulator.update(codes_of([[0.0, 0.0]]))
    assert accumulator.step is None
    accumulator.update(codes)
    assert accumulator.step == 1.0
    assert accumulator.n_rows == 3


def test_nothing_fires():
    accumulator = RateAccumulator((1, 2))
    accumulator.update(codes_of([[0.0, 0.0]]))
    assert accumulator.firing_bits() == [0, 0]
    assert accumulator.value_bits() == [0, 0]
    with pytest.raises(EvaluationError, match="no latent fires"):
        default_step(codes_of([[0.0]]))


def test_refusals():
    with pytest.raises(ConfigError, match="quantiser_step = 0"):
        RateAccumulator((2,), step=0.0)
    with pytest.raises(EvaluationError, match="no rows"):
        RateAccumulator((2,)).firing_bits()
