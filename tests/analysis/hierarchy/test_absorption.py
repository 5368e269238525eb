from __future__ import annotations

import numpy as np
import pytest
import torch

from msae.analysis.all_measurements import Absorption, Tree
from msae.analysis.features.collection import collect
from msae.analysis.hierarchy.absorption import close_pairs
from msae.analysis.hierarchy.direction_null import cosine_null
from msae.analysis.tables import Status
from msae.core.errors import ConfigError

HALF = 0.5**0.5


def sample(n_absorbed: int, n_both: int) -> torch.Tensor:
    """1,000 rows of (parent feature, child feature, something else).

    100 have the parent alone, at strengths 0.5 and 1.5; `n_absorbed` + `n_both` have parent and child, 1 each, the
    latter marked by a fourth number; the rest something else. They are spread over documents of 50.
    """
    x = torch.zeros(1000, 4)
    x[:100, 0] = torch.tensor([0.5, 1.5]).repeat(50)
    x[100 : 100 + n_absorbed + n_both, :2] = 1
    x[100 : 100 + n_both, 3] = 1
    x[100 + n_absorbed + n_both :, 2] = 1
    return x[torch.randperm(1000, generator=torch.Generator().manual_seed(0))]


def absorbing_sae(build, widths: tuple[int, ...] = (1, 3)):
    """The child latent stands for parent and child together, and the parent latent is silent where the child fires,
    unless the fourth number is there: then both fire, and the parent's share is counted twice."""
    decoder = [[1, 0, 0, 0], [HALF, HALF, 0, 0], [0, 0, 1, 0]]
    encoder = [[1, -1, 0, 1], [0, 2**0.5, 0, 0], [0, 0, 1, 0]]
    return build.sae_of(decoder, encoder, widths)


def run(build, x: torch.Tensor, widths: tuple[int, ...] = (1, 3), **settings):
    collected = collect(absorbing_sae(build, widths), build.in_documents(x))
    return collected, Absorption(**({"cosine": 0.5} | settings)).run(collected)


def row_of(result, parent: int, child: int) -> dict:
    rows = result.tables["absorption"].to_pylist()
    return next(row for row in rows if (row["parent"], row["child"]) == (parent, child))


def test_a_fully_absorbed_child_is_found_although_it_never_fires_with_its_parent(build):
    collected, result = run(build, sample(n_absorbed=80, n_both=0))
    assert Tree().run(collected).summary["edges"] == 0
    pair = row_of(result, 0, 1)
    assert (pair["status"], pair["is_edge"], pair["together"], pair["n_child"]) == (Status.OK, False, 0, 80)
    assert (pair["tested"], pair["absorbed"], pair["rate"], pair["rate_error"]) == (80, 80, 1, 0)
    assert pair["cosine"] == pytest.approx(HALF)
    # A token that the child did not choose is one of its 80 in 900 where the parent is silent.
    assert pair["null_rate"] == pytest.approx(0.9 * 80 / 900, abs=0.07)
    assert result.summary["absorbing_pairs"] == 1


def test_partial_absorption_is_its_share_of_the_childs_tokens(build):
    _, result = run(build, sample(n_absorbed=30, n_both=90))
    pair = row_of(result, 0, 1)
    assert (pair["n_child"], pair["together"], pair["tested"], pair["absorbed"]) == (120, 90, 30, 30)
    assert pair["rate"] == pytest.approx(30 / 120)


def test_an_edge_is_a_candidate_whatever_its_cosine(build):
    _, result = run(build, sample(n_absorbed=10, n_both=90), cosine=0.99)
    (pair,) = result.tables["absorption"].to_pylist()
    assert pair["is_edge"] and pair["rate"] == pytest.approx(10 / 100)


def test_a_silent_parent_that_is_not_needed_is_no_absorption(build):
    # The child's own tokens have nothing along the parent: x = (0, 1) is reconstructed as f_c (½, ½).
    x = sample(n_absorbed=80, n_both=0)
    x[x[:, 1] > 0, 0] = 0
    _, result = run(build, x)
    pair = row_of(result, 0, 1)
    assert pair["tested"] == 80 and pair["absorbed"] == 0 and pair["rate"] == 0


def test_within_a_band_both_directions_are_tested(build):
    _, result = run(build, sample(n_absorbed=80, n_both=0), widths=(3,))
    pairs = {(row["parent"], row["child"]) for row in result.tables["absorption"].to_pylist()}
    assert pairs == {(0, 1), (1, 0)}
    assert row_of(result, 0, 1)["rate"] == 1
    # A token of the parent alone has strength 0.5 or 1.5 · √½ along the child; the child's own are all √2.
    assert row_of(result, 1, 0)["rate"] == 0


def test_sampled_tokens_estimate_the_same_rate(build):
    _, whole = run(build, sample(n_absorbed=60, n_both=60))
    _, some = run(build, sample(n_absorbed=60, n_both=60), tokens=20)
    assert row_of(some, 0, 1)["tested"] == 20
    assert row_of(some, 0, 1)["rate"] == row_of(whole, 0, 1)["rate"] == 0.5


def test_absorbed_tokens_are_shown(build):
    collected, result = run(build, sample(n_absorbed=80, n_both=0), shown=3)
    shown = [row for row in result.tables["absorption_tokens"].to_pylist() if row["child"] == 1]
    assert len(shown) == 3
    for row in shown:
        assert row["row"] in collected.codes.rows_of(1) and row["row"] not in collected.codes.rows_of(0)
        assert row["child_value"] == pytest.approx(2**0.5) and row["parent_needed"] == pytest.approx(1, abs=1e-5)
        assert row["parent_p10"] == 0.5
        assert row["context_ids"][row["position"]] == row["token_id"]
        assert row["context_child"][row["position"]] == row["child_value"]
        assert row["context_parent"][row["position"]] == 0
    codes = collected.codes.sparse(0, collected.codes.n_rows).dense().numpy()
    row = shown[0]
    first = row["row"] - row["position"]
    around = codes[first : first + len(row["context_ids"])]
    assert row["context_parent"] == around[:, 0].tolist() and row["context_child"] == around[:, 1].tolist()


def test_an_exact_dictionary_absorbs_nothing(forest):
    result = Absorption().run(forest.collected)
    assert result.summary["candidates_tested"] >= 32
    assert result.summary["absorbing_pairs"] == 0 and result.summary["mean_rate"] == 0


def test_too_few_tokens_are_said(build):
    _, result = run(build, sample(n_absorbed=5, n_both=0))
    pair = row_of(result, 0, 1)
    assert pair["status"] == Status.FEW and pair["rate"] is None and pair["null_rate"] is None
    (level,) = [row for row in result.tables["absorption_levels"].to_pylist() if row["child_level"] > 0][:1]
    assert level["status"] == Status.FEW and level["rate"] is None


def test_the_cosine_null_of_unrelated_directions_is_their_own_quantile():
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(600, 40, generator=generator), dim=1)
    cosines = (directions @ directions.T)[np.triu_indices(600, 1)]
    assert cosine_null(directions, 0.999) == pytest.approx(cosines.quantile(0.999).item(), abs=0.02)
    # Pairs that lie close raise the quantile of the pairs but not the null's.
    twins = torch.cat([directions, torch.nn.functional.normalize(directions + 0.01, dim=1)])
    assert cosine_null(twins, 0.999) < 0.6


def test_close_pairs_are_all_of_them():
    directions = torch.nn.functional.normalize(torch.randn(70, 5, generator=torch.Generator().manual_seed(1)), dim=1)
    cosines = directions @ directions.T
    expected = {(i, j) for i in range(70) for j in range(i + 1, 70) if cosines[i, j] > 0.6}
    assert {tuple(pair) for pair in close_pairs(directions, 0.6).tolist()} == expected


def test_settings_are_checked():
    for wrong in ({"cosine": 2.0}, {"tokens": 0}, {"conditional": 0.0}, {"pairs": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Absorption(**wrong)
