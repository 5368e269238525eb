"""An SAE that reads a known forest exactly, and samples of rows with documents."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from msae.activations.store import RowTokens
from msae.activations.synthetic import SyntheticForest
from msae.analysis.collect import ArrayRows
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder


def perfect_sae(forest: SyntheticForest, widths: tuple[int, ...]) -> SparseAutoencoder:
    """Latent j is feature j: the pseudo-inverse reads the codes off exactly, with at most d_in features."""
    sae = SparseAutoencoder(forest.d_in, forest.n_features, BatchTopK(k=4), FixedPrefixes(widths))
    with torch.no_grad():
        sae.W_dec.copy_(forest.directions)
        sae.W_enc.copy_(torch.linalg.pinv(forest.directions))
        sae.threshold.fill_(1e-3)
    return sae.eval()


def tokens_of(n_rows: int, length: int, *, vocabulary: int = 30) -> RowTokens:
    row = torch.arange(n_rows)
    return RowTokens(token_id=row * 7 % vocabulary, document=row // length, offset=row % length)


@pytest.fixture(scope="session")
def small() -> SimpleNamespace:
    """A forest of 8 roots, 2 children each, 2 grandchildren each; 2,048 rows in documents of 64; its perfect SAE."""
    forest = SyntheticForest(d_in=64, n_roots=8, root_rate=0.15, branching=(2, 2))
    x, truth = forest.sample(2048, seed=1)
    rows = ArrayRows(x, tokens_of(2048, 64))
    return SimpleNamespace(forest=forest, x=x, truth=truth, rows=rows, sae=perfect_sae(forest, (8, 24, 56)))
