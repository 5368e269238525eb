"""An SAE's codes by level: the same numbers as the SAE's own, and bytes counted by hand."""

from __future__ import annotations

import pytest
import torch

from msae.core.errors import ConfigError
from msae.nested import SaeCodes
from msae.nested.sae_codes import largest
from msae.sae import SparseCodes

WIDTHS = (2, 4, 8)


def test_codes_are_the_saes_own(rows, sae):
    code = SaeCodes.of(sae, rows)
    dense = sae.encode_dense(rows).detach()
    for level, width in enumerate(WIDTHS):
        assert torch.equal(code.transform(rows, level), dense[:, :width])
        fires = (dense[:, :width] > 0).float().sum(1).mean().item()
        assert code.l0[level] == pytest.approx(fires)
        # 1, 2 and 3 bits for an index among 2, 4 and 8 latents, and 32 for the value.
        assert code.bytes_per_item(level) == pytest.approx(fires * (level + 1 + 32) / 8)


def test_with_k_the_largest_are_kept(rows, sae):
    code = SaeCodes.of(sae, rows, k=2)
    dense = sae.encode_dense(rows).detach()
    kept = code.transform(rows)
    top = dense.topk(2, dim=1).values
    assert torch.equal(kept.topk(2, dim=1).values, top) and int((kept > 0).sum(1).max()) == 2
    assert code.l0[2] == pytest.approx((top > 0).float().sum(1).mean().item()) and not code.prefixes
    assert torch.equal(code.transform(rows, 0), SaeCodes.of(sae, rows).transform(rows, 0)), "two latents, two kept"


def test_of_equal_codes_the_first_latents_are_kept():
    dense = torch.tensor([[2.0, 3.0, 2.0, 2.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    kept = largest(SparseCodes.from_dense(dense), 2).dense()
    assert kept.tolist() == [[2.0, 3.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]]


def test_rows_of_another_width_and_a_k_out_of_range_are_refused(rows, sae):
    with pytest.raises(ConfigError, match="the SAE's d_in"):
        SaeCodes.of(sae, rows[:, :5])
    for k in (0, 9):
        with pytest.raises(ConfigError, match="1 to 8"):
            SaeCodes.of(sae, rows, k=k)
