import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msae.activations.moments import moments, scale_from_moments, scale_of, variance_from_moments, variance_of
from msae.core.errors import ConfigError
from msae.core.rng import torch_stream


def test_two_rows_by_hand():
    rows = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    mean, mean_squared_norm = moments(rows)
    assert mean.tolist() == [1.5, 2.5]
    assert mean_squared_norm == (25 + 1) / 2
    assert variance_of(rows) == (1.5**2 + 1.5**2 + 1.5**2 + 1.5**2) / 2
    assert scale_of(rows) == math.sqrt(2 / 13)


@given(seed=st.integers(0, 1000), size=st.floats(1e-3, 1e4), shift=st.floats(-10, 10))
def test_scaled_rows_have_squared_norm_d_in(seed, size, shift):
    rows = size * (torch.randn(50, 7, generator=torch_stream(seed, "test")).double() + shift)
    assert moments(scale_of(rows) * rows)[1] == pytest.approx(7)


@given(seed=st.integers(0, 1000), shift=st.floats(-100, 100))
def test_variance_from_moments_is_the_variance_of_the_sample(seed, shift):
    rows = torch.randn(50, 7, generator=torch_stream(seed, "test")).double() + shift
    assert variance_from_moments(*moments(rows)) == pytest.approx(variance_of(rows), rel=1e-9)


def test_variance_is_never_negative():
    assert variance_from_moments(torch.tensor([1.0, 1.0]), 1.9999999) == 0.0


def test_moments_are_summed_in_float64():
    rows = torch.ones(3, 1) * torch.tensor([[1.0], [1e8], [1.0]])
    assert moments(rows)[0].item() == (1e8 + 2) / 3


@pytest.mark.parametrize("mean_squared_norm", [0.0, math.nan, math.inf, -1.0])
def test_no_scale_for_rows_without_length(mean_squared_norm):
    with pytest.raises(ConfigError, match=r"E\|\|x\|\|\^2"):
        scale_from_moments(mean_squared_norm, 4)


def test_no_moments_of_nothing():
    with pytest.raises(ConfigError, match="0 rows"):
        moments(torch.empty(0, 3))
