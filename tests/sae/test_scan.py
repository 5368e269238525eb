from __future__ import annotations

import pytest
import torch

from msae.sae.kernels import scan


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("floor", [-1.0, 0.0, 2.0, 9.0], ids=lambda f: f"floor {f}")
@pytest.mark.parametrize("shape", [(5, 64), (33, 1000), (1, 7), (4, 1)], ids=str)
def test_entries_above_are_those_torch_finds(dtype, floor, shape):
    block = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    floors = torch.full(shape[:1], floor).to(dtype) + torch.linspace(-0.5, 0.5, shape[0]).to(dtype)
    row, column = scan.entries_above(block, floors)
    expected = (block > floors[:, None]).nonzero()
    assert torch.equal(torch.stack([row, column], dim=1), expected)


def test_without_numba_the_result_is_the_same(monkeypatch):
    block, floors = torch.randn(40, 300), torch.linspace(-1, 2, 40)
    compiled = scan.entries_above(block, floors)
    monkeypatch.setattr(scan, "has_numba", lambda: False)
    plain = scan.entries_above(block, floors)
    assert all(torch.equal(a, b) for a, b in zip(compiled, plain, strict=True))


def test_zero_is_not_above_minus_zero():
    block = torch.tensor([[0.0, -0.0, 1e-30]]).bfloat16()
    assert scan.entries_above(block, torch.tensor([-0.0]).bfloat16())[1].tolist() == [2]
