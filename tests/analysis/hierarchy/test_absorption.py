from __future__ import annotations

import numpy as np
import pytest
import torch

from msae.activations.store import RowTokens
from msae.activations.synthetic import SyntheticForest
from msae.analysis.all_measurements import Absorption, Tree
from msae.analysis.features.collection import collect
from msae.analysis.hierarchy.absorption_candidates import close_pairs
from msae.analysis.hierarchy.direction_null import cosine_null
from msae.analysis.hierarchy.token_types import TokenTypes, hole
from msae.analysis.sample import ArrayRows
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
    return collected, Absorption(**({"cosine": 0.5, "least_hole": 0.9} | settings)).run(collected)


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
    # Any other direction as near to the child looks needed as well: the rate alone says nothing of the parent.
    assert pair["null_rate"] == 1 and pair["excess"] == 0
    # Of the 100 tokens with the parent and without the child, all fire it; token ids here are dealt out evenly.
    assert pair["hole"] == pytest.approx(100 / 920, abs=0.02)
    assert (pair["hole_tokens"], pair["hole_left_out"]) == (80, 0)


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
    assert result.summary["absorbing_pairs"] == 0


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


def typed(x: torch.Tensor, token_id: torch.Tensor, length: int = 64) -> ArrayRows:
    """Rows in documents of `length`, with their token types."""
    row = torch.arange(len(x))
    return ArrayRows(x, RowTokens(token_id=token_id, document=row // length, offset=row % length))


def near_directions(n: int, n_pairs: int, d: int, cosine: float = 0.45) -> torch.Tensor:
    """Unit directions; the last `n_pairs` have that cosine with the first, one with one."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.nn.functional.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=1)
    first, last = drawn[:n_pairs], drawn[-n_pairs:]
    away = torch.nn.functional.normalize(last - (last * first).sum(1, keepdim=True) * first, dim=1)
    drawn[-n_pairs:] = cosine * first + (1 - cosine**2) ** 0.5 * away
    return drawn


def perfect(build, directions: torch.Tensor, widths: tuple[int, ...]):
    """Reads the true codes of independent directions exactly."""
    return build.sae_of(directions.float(), torch.linalg.pinv(directions).T.float(), widths)


def heavy_tailed(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return 0.3 + 0.7 * torch.empty(shape, dtype=torch.float64).exponential_(generator=generator)


@pytest.mark.parametrize("noise", [0.0, 0.02], ids=["exact", "with noise"])
def test_independent_features_whose_directions_are_near_absorb_nothing(build, noise):
    """60 pairs of cosine 0.45: on the tokens of one, the other's direction is there by 0.45 of it."""
    generator = torch.Generator().manual_seed(1)
    directions = near_directions(160, 60, 192)
    codes = (torch.rand(20_000, 160, generator=generator) < 0.03) * heavy_tailed((20_000, 160), generator)
    x = codes @ directions + noise * torch.randn(20_000, 192, generator=generator, dtype=torch.float64)
    token_id = torch.randint(200, (20_000,), generator=generator)
    sae = perfect(build, directions, (100, 160))
    with torch.no_grad():
        sae.threshold.fill_(0.15)
    result = Absorption().run(collect(sae, typed(x.float(), token_id)))
    near = [row for row in result.tables["absorption"].to_pylist() if row["cosine"] > 0.4]
    assert len(near) >= 60 and np.mean([row["rate"] for row in near]) > 0.3  # what was called absorption
    assert abs(np.mean([row["excess"] for row in near])) < 0.02
    assert result.summary["absorbing_pairs"] == 0


@pytest.mark.parametrize("noise", [0.0, 0.02], ids=["exact", "with noise"])
def test_two_exclusive_senses_of_one_token_absorb_nothing(build, noise):
    """Token type i has sense A_i or B_i, never both; their directions have a cosine of 0.45."""
    generator = torch.Generator().manual_seed(2)
    n, n_rows, n_more = 40, 20_000, 40
    directions = near_directions(2 * n + n_more, n, 192)
    directions = torch.cat([directions[:n], directions[-n:], directions[n:-n]])
    token_id = torch.randint(n, (n_rows,), generator=generator)
    sense = token_id + n * (torch.rand(n_rows, generator=generator) < 0.4)
    codes = torch.zeros(n_rows, 2 * n + n_more, dtype=torch.float64)
    codes[:, 2 * n :] = (torch.rand(n_rows, n_more, generator=generator) < 0.04).double()
    codes[torch.arange(n_rows), sense] = 1
    codes *= heavy_tailed(tuple(codes.shape), generator)
    x = codes @ directions + noise * torch.randn(n_rows, 192, generator=generator, dtype=torch.float64)
    sae = perfect(build, directions, (n, 2 * n + n_more))
    with torch.no_grad():
        sae.threshold.fill_(0.15)
    result = Absorption().run(collect(sae, typed(x.float(), token_id)))
    senses = [
        row
        for row in result.tables["absorption"].to_pylist()
        if (row["parent"], row["child"] - n) == (row["parent"],) * 2
    ]
    assert len(senses) == n and min(row["hole"] for row in senses) > 0.8  # the other sense is always missing
    assert result.summary["absorbing_pairs"] == 0


def test_an_absorbed_parent_is_found_on_heavy_tailed_magnitudes(build):
    """One child of each of 20 roots has absorbed its parent: it stands for both, and the parent's latent is silent
    where it fires. Its siblings are read exactly. Which pairs absorb is known, and nothing else is found."""
    forest = SyntheticForest(d_in=96, n_roots=20, root_rate=0.06, branching=(3,), child_rate=0.8, magnitude_tail=0.7)
    axes = torch.eye(96)[: forest.n_features]
    _, codes = forest.sample(40_000, seed=3)
    x = codes @ axes
    absorbed = [(root, 20 + 3 * root) for root in range(20)]
    decoder, encoder = axes.clone(), axes.clone()
    for parent, child in absorbed:
        decoder[child] = HALF * (axes[parent] + axes[child])
        encoder[child] = 2**0.5 * axes[child]
        encoder[parent] = axes[parent] - 100 * axes[child]
    sae = build.sae_of(decoder, encoder, (20, 80))
    result = Absorption().run(collect(sae, typed(x, forest.token_types(codes, seed=3))))
    rows = result.tables["absorption"].to_pylist()
    assert {(row["parent"], row["child"]) for row in rows if row["absorbing"]} == set(absorbed)
    for row in rows:
        if row["absorbing"]:
            # Where the type is the root's and this child is silent, the parent nearly always fires.
            assert row["hole"] > 0.3 and row["across"] > 2 * row["null_across"] and row["hole_left_out"] == 0
    assert result.summary["absorbing_pairs"] == 20


def test_a_wholly_absorbed_pair_of_a_small_cosine_is_a_candidate(build):
    """Children stand for their parents with a tenth of their direction: no cosine would choose them."""
    forest = SyntheticForest(d_in=48, n_roots=12, root_rate=0.08, branching=(2,), child_rate=0.8, magnitude_tail=0.7)
    axes = torch.eye(48)[: forest.n_features]
    _, codes = forest.sample(20_000, seed=5)
    decoder, encoder = axes.clone(), axes.clone()
    absorbed = [(root, 12 + 2 * root) for root in range(12)]
    for parent, child in absorbed:
        decoder[child] = torch.nn.functional.normalize(0.1 * axes[parent] + axes[child], dim=0)
        encoder[parent] = axes[parent] - 100 * axes[child]
    sae = build.sae_of(decoder, encoder, (12, 36))
    rows = typed(codes @ axes, forest.token_types(codes, seed=5))
    result = Absorption(cosine=0.9).run(collect(sae, rows))
    found = result.tables["absorption"].to_pylist()
    assert {(row["parent"], row["child"]) for row in found if row["absorbing"]} == set(absorbed)


def test_tokens_of_a_type_that_is_the_childs_own_are_left_out_and_counted(build):
    codes = torch.zeros(2_000, 3)
    codes[::4, 0] = 1  # the parent, on tokens of type 1
    codes[1::8, 1] = 1  # the child: on all tokens of type 2, and on half of those of type 3
    token_id = torch.zeros(2_000, dtype=torch.long)
    token_id[::4], token_id[1::8] = 1, 2
    token_id[1::16] = 3
    token_id[2::16] = 3
    collected = collect(build.sae_of(torch.eye(3), torch.eye(3), (1, 3)), typed(codes, token_id))
    types = TokenTypes.of(collected.codes, collected.origin)
    found = hole(collected.codes, types, collected.origin.document, 0, 1)
    assert found.left_out == 125 and found.tokens == 125 and found.hole == 0


def test_the_hole_by_hand(build):
    """Type 7 on 100 rows: the parent on 40 of the 80 without the child, and on 2 of the 20 with it: 0.5 − 0.1."""
    codes, token_id = torch.zeros(400, 3), torch.zeros(400, dtype=torch.long)
    codes[:, 2] = 1
    token_id[:100] = 7
    codes[:40, 0] = codes[80:100, 1] = codes[80:82, 0] = 1
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    collected = collect(build.sae_of(torch.eye(3), torch.eye(3), (1, 3)), typed(codes[order], token_id[order], 40))
    types = TokenTypes.of(collected.codes, collected.origin)
    found = hole(collected.codes, types, collected.origin.document, 0, 1)
    assert found.hole == pytest.approx(0.4) and found.tokens == 20
    assert found.error >= (0.5 * 0.5 / 20) ** 0.5
    np.testing.assert_allclose(types.expected_of(np.array([0]), np.array([1])), 42 * 20 / 100)
    blocks = np.concatenate([block for _, block in types.expected_together()])
    np.testing.assert_allclose(blocks[0, 1], 42 * 20 / 100)
    np.testing.assert_allclose(blocks, blocks.T)
