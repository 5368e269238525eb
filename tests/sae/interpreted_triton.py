"""Run by test_triton.py with TRITON_INTERPRET=1: prints the name of each case that holds."""

from __future__ import annotations

import torch

from msae.sae import BatchTopK, FixedPrefixes, JumpReLU, SparseAutoencoder
from msae.sae.kernels import ReferenceKernel, make_kernel
from msae.sae.kernels.search import PlainSearch
from msae.sae.kernels.triton_step import TileSearch
from msae.sae.losses import Objective

FNS = (BatchTopK(k=3), JumpReLU(l0=3, bandwidth=0.8))
WIDTHS, WEIGHTS = (7, 36), (0.4, 0.6)


def sae_and_rows(fn, d_in=9, n_rows=20):
    sae = SparseAutoencoder(d_in, WIDTHS[-1], fn, FixedPrefixes(WIDTHS))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        sae.b_enc += 0.3 * torch.randn(sae.d_sae, generator=generator)
        sae.threshold.fill_(0.9 if isinstance(fn, JumpReLU) else 0.0)
    return sae, 1.5 * torch.randn(n_rows, d_in, generator=generator)


def step_equals_reference(fn):
    sae, x = sae_and_rows(fn)
    dead = torch.arange(sae.d_sae) % 3 == 0
    objective = Objective(
        widths=WIDTHS,
        weights=WEIGHTS,
        variance=3.7,
        auxk_alpha=1 / 32,
        auxk_widths=WIDTHS,
        auxk_weights=WEIGHTS,
        dead=dead,
    )
    expected = ReferenceKernel().step(sae, x, objective)
    gradients = {name: p.grad.clone() for name, p in sae.named_parameters() if p.requires_grad}
    kernel = make_kernel("triton", sae)
    for _ in range(2):  # the second time with a floor from the first
        result = kernel.step(sae, x, objective)
        assert torch.equal(result.codes.dense() != 0, expected.codes.dense() != 0)
        torch.testing.assert_close(result.losses.total, expected.losses.total, rtol=1e-5, atol=0)
        for name, gradient in gradients.items():
            off = (sae.get_parameter(name).grad - gradient).norm() / gradient.norm()
            assert off < 1e-5, (name, off)


def pick_loses_nothing():
    sae, x = sae_and_rows(FNS[0], d_in=70, n_rows=70)
    for floor in (torch.tensor(2.0), torch.tensor(0.0), torch.tensor(1e6)):
        plain = PlainSearch(sae, x, floor).block(slice(0, WIDTHS[-1]))
        search = TileSearch(sae, x, floor)
        tiles = search.block(slice(0, WIDTHS[-1]))
        assert torch.equal(plain[0], tiles[0]) and torch.equal(plain[1], tiles[1])
        assert len(plain[0]) <= search.n_passed <= 1.5 * len(plain[0]) + 2


for fn in FNS:
    step_equals_reference(fn)
    print(type(fn).__name__)
pick_loses_nothing()
print("pick")
