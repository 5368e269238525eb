"""Screening with rounded numbers: a processor takes a screen by itself only where it pays; the bounds hold on any."""

from __future__ import annotations

import pytest
import torch

from msae.sae import BatchTopK, SparseAutoencoder
from msae.sae.kernels.candidates import CandidateFinder
from msae.sae.kernels.products import keep_largest_per_row
from msae.sae.kernels.search import Bf16Search, Int8Search, PlainSearch

needs_vnni = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="int8 products may saturate without VNNI")
SCREENS = [Bf16Search, pytest.param(Int8Search, marks=needs_vnni)]


def rows_and_sae(d_in=64, d_sae=512):
    generator = torch.Generator().manual_seed(0)
    sae = SparseAutoencoder(d_in, d_sae, BatchTopK(k=8))
    with torch.no_grad():
        sae.W_enc *= torch.logspace(-1, 0.5, d_sae)
        sae.b_enc += torch.randn(d_sae, generator=generator)
    return torch.randn(200, d_in, generator=generator), sae


def entries(found):
    return set(zip(found[0].tolist(), found[1].tolist(), strict=True))


@pytest.mark.parametrize("floor", [0.0, 1.5, 6.0])
@pytest.mark.parametrize("spread", [(0, 0), (-1, 1)], ids=["even inputs", "uneven inputs"])
@pytest.mark.parametrize("screen", SCREENS)
def test_screening_loses_nothing(screen, spread, floor):
    x, sae = rows_and_sae()
    x = x * torch.logspace(*spread, 64)
    floor = torch.tensor(floor)
    plain = PlainSearch(sae, x, floor).block(slice(0, 512))
    screened = screen(sae, x, floor).block(slice(0, 512))
    near = {(r, c) for r, c, pre in zip(*(t.tolist() for t in plain), strict=True) if abs(pre - floor) < 1e-4}
    assert len(near) < 20 and len(plain[0]) > 100
    assert entries(plain) - near <= entries(screened)
    assert len(entries(screened) - entries(plain)) < 20


@needs_vnni
def test_int8_rules_most_entries_out():
    x, sae = rows_and_sae(d_in=512)
    search = Int8Search(sae, x, torch.tensor(6.0))
    n_above = len(search.block(slice(0, 512))[0])
    assert 100 < n_above <= search.n_passed < 3 * n_above < 0.1 * 200 * 512


@needs_vnni
@pytest.mark.parametrize("scale", [1e-30, 1e-18])
def test_numbers_too_small_to_square_are_not_lost(scale):
    x, sae = rows_and_sae()
    x *= scale
    with torch.no_grad():
        sae.b_enc.zero_()
    plain = PlainSearch(sae, x, torch.tensor(0.0)).block(slice(0, 512))
    assert entries(plain) <= entries(Int8Search(sae, x, torch.tensor(0.0)).block(slice(0, 512)))


@pytest.mark.parametrize("screen", SCREENS)
def test_where_screening_rules_out_too_little_the_rest_is_searched_in_float32(screen, monkeypatch):
    x, sae = rows_and_sae()
    blocks = []
    for kind in (screen, PlainSearch):
        real = kind.block
        monkeypatch.setattr(kind, "block", lambda self, c, real=real: (blocks.append(type(self)), real(self, c))[1])
    x[:, 0] = 1000.0
    found = CandidateFinder(200 * 128, screen).above(sae, x, torch.tensor(1.0))
    assert blocks == [screen, PlainSearch, PlainSearch, PlainSearch]
    pre = x @ sae.W_enc + sae.b_enc
    assert abs(len(found.pre) - int((pre > 1.0).sum())) < 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [1, 3, 10, 16, 99])
def test_the_largest_positive_of_each_row_and_of_equals_the_first(dtype, count):
    generator = torch.Generator().manual_seed(1)
    values = torch.randint(-4, 5, (300, 16), generator=generator).to(dtype)
    values[:100] = torch.randn(100, 16, generator=generator).to(dtype)
    values[100] = -values[100].abs()
    values[101] = 2.0
    expected = torch.zeros_like(values)
    for row, out in zip(values.tolist(), expected, strict=True):
        for value, c in sorted((-value, c) for c, value in enumerate(row) if value > 0)[:count]:
            out[c] = -value
    assert torch.equal(keep_largest_per_row(values.clone(), count), expected)
