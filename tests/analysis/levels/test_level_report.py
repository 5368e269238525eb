"""Prefixes that are levels, prefixes of a shuffled dictionary, and a guess at widths."""

from __future__ import annotations

import pytest
import torch

from msae.activations.synthetic import SyntheticForest
from msae.analysis.levels.level_report import Verdict, level_report
from msae.core.errors import ConfigError, MismatchError
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder
from msae.sae.reorder import reordered

WIDTHS = (8, 24, 56)


@pytest.fixture(scope="module")
def known():
    """A perfect SAE of a forest: roots first, then children, whose rows only add to their parents'."""
    forest = SyntheticForest(d_in=64, n_roots=8, root_rate=0.15, branching=(2, 2))
    sae = SparseAutoencoder(64, 56, BatchTopK(k=4), FixedPrefixes(WIDTHS))
    with torch.no_grad():
        sae.W_dec.copy_(forest.directions)
        sae.W_enc.copy_(torch.linalg.pinv(forest.directions))
        sae.threshold.fill_(1e-3)
    return sae.eval(), forest.sample(2048, seed=1)[0]


def test_a_reordered_sae_gives_the_same_codes_permuted(known):
    sae, x = known
    order = torch.randperm(56, generator=torch.Generator().manual_seed(0))
    other = reordered(sae, order)
    torch.testing.assert_close(other.encode_dense(x), sae.encode_dense(x)[:, order])
    torch.testing.assert_close(other(x), sae(x))
    assert other.prefix_widths == sae.prefix_widths
    with pytest.raises(ConfigError, match="every latent"):
        reordered(sae, torch.zeros(56, dtype=torch.long))


def test_prefixes_of_roots_reconstruct_more_than_random_latents(known):
    sae, x = known
    first, second, whole = level_report(sae, x)
    assert first.fvu < first.random_lowest <= first.random_fvu
    assert second.fvu < second.random_lowest
    assert whole.verdict is Verdict.WHOLE
    assert whole.fvu == pytest.approx(whole.random_fvu) == pytest.approx(whole.densest_fvu)


def test_prefixes_of_a_shuffled_dictionary_are_no_levels(known):
    sae, x = known
    verdicts = []
    for seed in range(6):
        order = torch.randperm(56, generator=torch.Generator().manual_seed(100 + seed))
        verdicts += [row.verdict for row in level_report(reordered(sae, order), x, n_random=19)[:2]]
    assert Verdict.LEVEL not in verdicts
    # Of 20 exchangeable orders the lowest is the shuffled one once in 20: of 12, 4 and more are rare (0.2%).
    assert verdicts.count(Verdict.DENSE) <= 3


def test_a_wrong_guess_shows(known):
    """Widths that cut through the roots: the children that are let in early are no denser than others."""
    sae, x = known
    guess = SparseAutoencoder(64, 56, BatchTopK(k=4), FixedPrefixes((40, 56)))
    guess.load_state_dict(sae.state_dict())
    reversed_order = reordered(guess.eval(), torch.arange(55, -1, -1))
    assert level_report(reversed_order, x)[0].verdict is Verdict.RANDOM


def test_bad_input(known):
    sae, x = known
    with pytest.raises(MismatchError, match="d_in = 64"):
        level_report(sae, x[:, :10])
    with pytest.raises(ConfigError, match="n_random"):
        level_report(sae, x, n_random=1)
