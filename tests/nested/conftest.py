"""Small rows with a known structure, and every nested code there is, fitted on them."""

from __future__ import annotations

import pytest
import torch

from msae.core.rng import torch_stream
from msae.nested import (
    CODES,
    HeadConfig,
    PcaPrefix,
    RandomOrder,
    RawPrefix,
    SaeCodes,
    train_head,
    train_independent_heads,
)
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder

WIDTHS = (2, 4, 8)
D_IN, N = 12, 96


def normal(n: int, width: int, name: str) -> torch.Tensor:
    return torch.randn(n, width, generator=torch_stream(0, f"test/nested/{name}"))


@pytest.fixture(scope="session")
def drawn():
    """Normal numbers of a named stream: `drawn(rows, width, name)`."""
    return normal


@pytest.fixture(scope="session")
def rows() -> torch.Tensor:
    scales = torch.linspace(3, 0.3, D_IN)
    return normal(N, D_IN, "rows") * scales + 1


@pytest.fixture(scope="session")
def labels(rows) -> list[str]:
    return ["high" if row[5] > 1 else "low" for row in rows]


@pytest.fixture(scope="session")
def sae() -> SparseAutoencoder:
    return small_sae()


def small_sae() -> SparseAutoencoder:
    sae = SparseAutoencoder(D_IN, 8, BatchTopK(k=3), FixedPrefixes(WIDTHS)).eval()
    with torch.no_grad():
        sae.threshold.fill_(0.5)
    return sae


def made(kind: type, rows: torch.Tensor, labels: list[str]):
    config = HeadConfig(widths=WIDTHS, n_steps=30, batch_size=32)
    match kind.__name__:
        case "RawPrefix":
            return RawPrefix(D_IN, WIDTHS)
        case "PcaPrefix":
            return PcaPrefix.fit(rows, WIDTHS)
        case "RandomOrder":
            return RandomOrder(PcaPrefix.fit(rows, WIDTHS), seed=3)
        case "MatryoshkaHead":
            return train_head(rows, config, labels=labels)
        case "IndependentHeads":
            return train_independent_heads(rows, config, labels=labels)
        case "SaeCodes":
            return SaeCodes.of(small_sae(), rows)
    raise AssertionError(f"the tests know no {kind.__name__}: say here how one is made")


@pytest.fixture(scope="session", params=CODES, ids=lambda kind: kind.__name__)
def code(request, rows, labels):
    return made(request.param, rows, labels)
