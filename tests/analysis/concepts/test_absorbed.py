"""Each definition of absorption on tokens whose answer is worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from msae.analysis.concepts.absorbed import TokenCodes, ablation, saebench_fraction, saebench_full, silent
from msae.analysis.sample import CodeTable
from msae.sae.codes import SparseCodes

# Latents 0 and 1 are the concept's main ones; 2 … 5 have these cosines with the probe.
COSINE = np.array([0.9, 0.8, 0.5, 0.3, 0.2, 0.05])
MAIN = np.array([0, 1])


def tokens(*codes: dict[int, float]) -> TokenCodes:
    dense = torch.zeros(len(codes), 6)
    for row, values in enumerate(codes):
        for latent, value in values.items():
            dense[row, latent] = value
    return TokenCodes.of(CodeTable.of(SparseCodes.from_dense(dense)), np.arange(len(codes)))


def test_codes_of_tokens_and_of_a_prefix():
    codes = tokens({0: 1.0, 5: 2.0}, {}, {3: 4.0})
    assert codes.latent.tolist() == [[0, 5], [-1, -1], [3, -1]]
    assert codes.below(4).value.tolist() == [[1.0, 0.0], [0.0, 0.0], [4.0, 0.0]]
    assert silent(codes, MAIN).tolist() == [False, True, True]
    assert silent(codes.below(0), MAIN).all()
    assert silent(codes, np.array([5])).tolist() == [False, True, True]


def test_other_codes_for_all_but_some_latents():
    mixed = tokens({0: 1.0, 2: 2.0}, {1: 3.0}).with_own(tokens({0: 5.0, 3: 6.0}, {4: 7.0}), MAIN)
    found = [{int(j): v for j, v in zip(*row, strict=True) if v} for row in zip(mixed.latent, mixed.value, strict=True)]
    assert found == [{2: 2.0, 0: 5.0}, {}]


@pytest.mark.parametrize(
    ("codes", "projection", "absorbed"),
    [
        ({2: 2.0}, 2.5, True),  # 2 · 0.5 = 1.0 = 0.4 · 2.5
        ({2: 2.0}, 2.6, False),  # 1.0 < 1.04
        ({2: 2.0, 1: 0.1}, 2.5, False),  # a main latent is on
        ({2: 2.0, 3: 3.0}, 2.0, True),  # the second largest counts for nothing
        ({5: 20.0}, 2.0, True),  # cosine 0.05 is enough
        ({2: 2.0}, -1.0, False),
        ({}, 1.0, False),
    ],
)
def test_saebench_full(codes, projection, absorbed):
    said, top = saebench_full(tokens(codes), COSINE, np.array([projection]), MAIN)
    assert said.tolist() == [absorbed]
    expected = max(codes, key=lambda latent: codes[latent] * COSINE[latent], default=-1)
    assert top.tolist() == [expected]


def test_saebench_full_wants_a_cosine_of_0_025():
    low = COSINE.copy()
    low[5] = 0.02
    said, _ = saebench_full(tokens({5: 100.0}), low, np.array([2.0]), MAIN)
    assert not said.any()


@pytest.mark.parametrize(
    ("codes", "projection", "fraction"),
    [
        ({2: 2.0}, 2.0, 1.0),  # nothing main: all of it
        ({0: 1.0, 2: 2.0}, 2.0, 1.0 / 1.9),  # a = min(1, 2 − 0.9) = 1; 1 / (1 + 0.9)
        ({0: 1.0, 2: 4.0}, 2.0, 1.1 / 2.0),  # a = min(2, 1.1)
        ({0: 1.0, 2: 1.0}, 2.0, 0.0),  # 0.5 < 0.4 · 2
        ({0: 3.0, 2: 4.0}, 2.0, 0.0),  # the main one alone accounts for 2.7 ≥ 2
        ({2: 1.0, 3: 1.0, 4: 1.0}, 2.0, 1.0),  # 0.5 + 0.3 + 0.2 = 1.0 ≥ 0.8
        ({5: 100.0}, 2.0, 0.0),  # cosine 0.05 < 0.1
        ({2: 2.0}, -1.0, 0.0),
        ({}, 2.0, 0.0),
    ],
)
def test_saebench_fraction(codes, projection, fraction):
    value = saebench_fraction(tokens(codes), COSINE, np.array([projection]), MAIN)
    assert value == pytest.approx([fraction])


def test_at_most_three_latents_absorb():
    cosine = np.array([0.9, 0.8, 0.2, 0.2, 0.2, 0.2])
    codes = tokens({2: 1.0, 3: 1.0, 4: 1.0, 5: 1.0})
    assert saebench_fraction(codes, cosine, np.array([1.6]), MAIN) == 0  # 0.6 < 0.64, though all four have 0.8


@pytest.mark.parametrize(
    ("effects", "absorbed"),
    [
        ({2: -3.0, 3: -2.0}, True),  # leads by 1.0
        ({2: -2.9, 3: -2.0}, False),
        ({2: -3.0, 3: 2.5}, False),  # the second in size, whatever its sign
        ({2: 3.0, 3: -1.0}, False),  # ablating it helps
        ({2: -1.0}, True),  # alone
        ({0: -0.1, 2: -3.0}, False),  # a main latent is on
        ({}, False),
    ],
)
def test_the_test_of_chanin_et_al(effects, absorbed):
    codes = tokens({latent: 1.0 for latent in effects})
    order = [effects.get(int(latent), 0.0) for latent in codes.latent[0]]
    said, top = ablation(codes, COSINE, np.array([order]), MAIN)
    assert said.tolist() == [absorbed]
    assert top.tolist() == [max(effects, key=lambda latent: abs(effects[latent]), default=-1)]
