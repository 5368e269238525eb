from __future__ import annotations

import numpy as np
import pytest
import torch

import msae
from msae.analysis.sample import CodeTable, PairSettings, join_saes
from msae.analysis.sample.joined import joined
from msae.core.errors import ConfigError, MismatchError
from msae.sae.codes import SparseCodes


def dense(n_rows: int, n_latents: int, seed: int) -> torch.Tensor:
    drawn = torch.rand(n_rows, n_latents, generator=torch.Generator().manual_seed(seed))
    return drawn.clamp_min(0.7) - 0.7


def test_joined_codes_are_those_of_each_side_by_side(monkeypatch):
    monkeypatch.setattr("msae.analysis.sample.joined.BLOCK_ROWS", 7)
    parts = [dense(40, width, seed) for seed, width in enumerate((3, 5, 2))]
    tables = [CodeTable.of(SparseCodes.from_dense(part)) for part in parts]
    both = joined(tables)
    assert torch.equal(both.sparse(0, 40).dense(), torch.cat(parts, dim=1))
    with pytest.raises(MismatchError, match="cannot be joined"):
        joined([tables[0], CodeTable.of(SparseCodes.from_dense(parts[0][:20]))])


def test_an_sae_joined_with_itself_pairs_every_latent_with_itself(small):
    both = join_saes([small.sae, small.sae], small.rows)
    n = small.sae.d_sae
    assert both.n_levels == 2 and both.level_of.tolist() == [0] * n + [1] * n
    assert np.array_equal(both.own_number(np.arange(2 * n)), np.tile(np.arange(n), 2))
    twins = both.pairs.b - both.pairs.a == n
    often = np.flatnonzero(both.codes.counts[:n] >= both.pair_settings.min_tokens)
    assert set(both.pairs.a[twins]) >= set(often)
    assert both.pairs.phi[twins] == pytest.approx(1)
    # Shifted, a latent and its twin part: each goes its own way.
    null = both.null_codes
    apart = [not np.array_equal(null.rows_of(j), null.rows_of(j + n)) for j in often.tolist()]
    assert np.mean(apart) > 0.95


def test_refusals(small):
    with pytest.raises(ConfigError, match="at least two"):
        join_saes([small.sae], small.rows)
    narrow = msae.SparseAutoencoder(8, 16, msae.BatchTopK(k=2)).eval()
    with pytest.raises(MismatchError, match="d_in = 8"):
        join_saes([small.sae, narrow], small.rows)


def test_settings_are_kept(small):
    kept = join_saes([small.sae, small.sae], small.rows, pair_settings=PairSettings(min_tokens=50), seed=3)
    assert kept.pair_settings == PairSettings(min_tokens=50) and kept.seed == 3
    assert np.array_equal(kept.often, kept.codes.counts >= 50)
