from __future__ import annotations

import numpy as np
import torch

from msae.activations.store import RowTokens
from msae.analysis.sample import ArrayRows, CodeTable, Origin
from msae.analysis.sample import shift as shift_module
from msae.analysis.sample.shift import OVER_ALL_ROWS, WITHIN_DOCUMENTS, shift_bounds, shifted
from msae.sae import SparseCodes


def origin_of(lengths: list[int]) -> Origin:
    document = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    offset = torch.cat([torch.arange(length) for length in lengths])
    n = len(document)
    tokens = RowTokens(token_id=torch.zeros(n, dtype=torch.long), document=document, offset=offset)
    return Origin.of(ArrayRows(torch.zeros(n, 1), tokens), n)


def is_rotation(before: np.ndarray, after: np.ndarray) -> bool:
    return any(np.array_equal(np.roll(before, by), after) for by in range(len(before)))


def test_every_latent_is_rotated_inside_every_document(monkeypatch):
    monkeypatch.setattr(shift_module, "CHUNK_CODES", 60)
    lengths = [40, 25, 1, 60]
    dense = torch.rand(126, 7, generator=torch.Generator().manual_seed(0))
    dense *= dense > 0.6
    origin = origin_of(lengths)
    assert shift_bounds(origin)[1] == WITHIN_DOCUMENTS
    moved = shifted(CodeTable.of(SparseCodes.from_dense(dense)), origin).sparse(0, 126).dense().numpy()
    ends = np.cumsum(lengths)
    for begin, end in zip(ends - lengths, ends, strict=True):
        for latent in range(7):
            assert is_rotation(dense[begin:end, latent].numpy(), moved[begin:end, latent])
    assert not np.array_equal(moved, dense.numpy())


def test_shifts_are_uniform_and_independent_between_latents():
    # Documents of 8 rows, two latents that always fire on the first row.
    dense = torch.zeros(8 * 4000, 2)
    dense[::8] = 1
    codes = CodeTable.of(SparseCodes.from_dense(dense))
    moved = shifted(codes, origin_of([8] * 4000))
    first, second = moved.rows_of(0) % 8, moved.rows_of(1) % 8
    seen = np.histogram2d(first, second, bins=8)[0]
    assert abs(seen - 4000 / 64).max() < 5 * (4000 / 64) ** 0.5
    other_seed = shifted(codes, origin_of([8] * 4000), seed=1)
    assert np.mean(other_seed.rows_of(0) == moved.rows_of(0)) < 0.2


def test_single_rows_are_shifted_over_the_whole_sample():
    origin = origin_of([1] * 50)
    assert shift_bounds(origin)[1] == OVER_ALL_ROWS
    dense = torch.zeros(50, 1)
    dense[10:20] = torch.arange(1.0, 11)[:, None]
    moved = shifted(CodeTable.of(SparseCodes.from_dense(dense)), origin).sparse(0, 50).dense()
    assert is_rotation(dense[:, 0].numpy(), moved[:, 0].numpy())
