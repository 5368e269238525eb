"""Samples whose edges, splits and absorbed tokens are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import torch

from msae.activations.store import RowTokens
from msae.activations.synthetic import SyntheticForest
from msae.analysis.collect import ArrayRows, Collected, collect
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder, Unnested


def sae_of(W_dec: Sequence, W_enc: Sequence, widths: tuple[int, ...]) -> SparseAutoencoder:
    """An SAE from its decoder rows and, as rows too, its encoder columns; θ just above zero."""
    dec, enc = torch.as_tensor(W_dec, dtype=torch.float32), torch.as_tensor(W_enc, dtype=torch.float32)
    nesting = FixedPrefixes(widths) if len(widths) > 1 else Unnested()
    sae = SparseAutoencoder(dec.shape[1], dec.shape[0], BatchTopK(k=1), nesting)
    with torch.no_grad():
        sae.W_dec.copy_(dec)
        sae.W_enc.copy_(enc.T)
        sae.threshold.fill_(1e-3)
    return sae.eval()


def in_documents(x: torch.Tensor, length: int = 50) -> ArrayRows:
    row = torch.arange(len(x))
    return ArrayRows(x, RowTokens(token_id=row % 11, document=row // length, offset=row % length))


def collected_from_codes(codes: torch.Tensor, widths: tuple[int, ...], length: int = 50) -> Collected:
    """A dictionary of unit vectors, so that the rows are the codes."""
    d = codes.shape[1]
    return collect(sae_of(torch.eye(d), torch.eye(d), widths), in_documents(codes.float(), length))


def forest_sample(nested: bool = True) -> SimpleNamespace:
    """16 roots with 2 children each, one after another in level order, read exactly."""
    forest = SyntheticForest(d_in=56, n_roots=16, root_rate=0.12, branching=(2,))
    x, _ = forest.sample(4000, seed=1)
    widths = (16, 48) if nested else (48,)
    sae = sae_of(forest.directions, torch.linalg.pinv(forest.directions).T, widths)
    return SimpleNamespace(forest=forest, sae=sae, collected=collect(sae, in_documents(x)))


@pytest.fixture(scope="session")
def from_codes() -> Callable[..., Collected]:
    return collected_from_codes


@pytest.fixture(scope="session")
def build() -> SimpleNamespace:
    return SimpleNamespace(sae_of=sae_of, in_documents=in_documents)


@pytest.fixture(scope="session")
def forest() -> SimpleNamespace:
    return forest_sample()


@pytest.fixture(scope="session")
def flat_forest() -> SimpleNamespace:
    return forest_sample(nested=False)
