from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msae.analysis.hierarchy.direction_null import both_ways, cosine_null, dealt_out, nearest_null
from msae.analysis.hierarchy.matching import BY_BOTH, BY_COSINE, BY_FIRING, Groups, match_latents, overlap
from msae.analysis.sample import CodeTable
from msae.analysis.tables import meanings
from msae.sae.codes import SparseCodes


def table_of(dense: torch.Tensor) -> CodeTable:
    return CodeTable.of(SparseCodes.from_dense(dense.float()))


def two_saes(sizes: tuple[int, int]) -> Groups:
    which = np.repeat([0, 1], sizes)
    latent = np.concatenate([np.arange(size) for size in sizes])
    return Groups(group=which, sae=which, level=np.zeros_like(which), latent=latent, names=("one", "other"))


def random_directions(n: int, d: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=1)


def shifted_apart(dense: torch.Tensor) -> torch.Tensor:
    return torch.stack([column.roll(7 * i + 1) for i, column in enumerate(dense.T)], dim=1)


def nulls_of(dense: torch.Tensor) -> tuple[CodeTable, CodeTable]:
    again = torch.stack([column.roll(11 * i + 5) for i, column in enumerate(dense.T)], dim=1)
    return table_of(shifted_apart(dense)), table_of(again)


def matched(table) -> dict[tuple[int, int], str]:
    rows = table.to_pylist()
    return {(row["latent_a"], row["latent_b"]): row["matched"] for row in rows if row["matched"]}


def test_a_dictionary_in_another_order_is_matched_latent_by_latent():
    n, d = 40, 32
    directions = random_directions(n, d)
    codes = (torch.rand(2000, n, generator=torch.Generator().manual_seed(1)) < 0.05).float()
    order = torch.randperm(n, generator=torch.Generator().manual_seed(2))
    both = torch.cat([codes, codes[:, order]], dim=1)
    table = match_latents(
        table_of(both), nulls_of(both), torch.cat([directions, directions[order]]), two_saes((n, n))
    ).pairs
    assert matched(table) == {(int(a), b): BY_BOTH for b, a in enumerate(order)}
    for row in table.to_pylist():
        if row["matched"]:
            assert row["cosine"] == pytest.approx(1) and row["phi"] == pytest.approx(1)
            assert row["p_a_given_b"] == row["p_b_given_a"] == 1 and row["n_a"] == row["n_b"] == row["together"]
            assert (row["sae_a"], row["sae_b"]) == ("one", "other")
    assert all(meanings(table).values())


def test_by_direction_alone_and_by_firing_alone():
    # Latent 0 of either has the same direction but fires elsewhere; latents 1 fire alike and point elsewhere; latents 2
    # have nothing to do with each other; latent 3 never fires.
    d, rows = 64, 3000
    directions = torch.cat([random_directions(30, d), random_directions(30, d, seed=1)])
    directions[30] = directions[0]
    codes = (torch.rand(rows, 60, generator=torch.Generator().manual_seed(3)) < 0.03).float()
    codes[:, 31] = codes[:, 1]
    codes[:, 3] = 0
    table = match_latents(table_of(codes), nulls_of(codes), directions, two_saes((30, 30))).pairs
    found = matched(table)
    assert found[0, 0] == BY_COSINE and found[1, 1] == BY_FIRING
    assert len(found) <= 4
    assert all(row["latent_a"] != 3 for row in table.to_pylist())


@given(st.integers(0, 10_000))
def test_every_pair_is_what_counting_says(seed):
    generator = torch.Generator().manual_seed(seed)
    codes = (torch.rand(60, 9, generator=generator) < 0.4).float()
    directions = random_directions(9, 5, seed)
    groups = two_saes((4, 5))
    table = match_latents(
        table_of(codes), nulls_of(codes), directions, groups, nearest=2, min_tokens=1
    ).pairs.to_pylist()
    seen = set()
    for row in table:
        a, b = row["latent_a"], 4 + row["latent_b"]
        seen.add((a, b))
        assert row["together"] == int((codes[:, a] * codes[:, b]).sum())
        assert row["cosine"] == pytest.approx(float(directions[a] @ directions[b]), abs=1e-5)
        expected = np.corrcoef(codes[:, a], codes[:, b])[0, 1]
        assert row["phi"] == pytest.approx(expected, abs=1e-5)
        assert row["nearest_of_a"] == (int((directions[4:] @ directions[a]).argmax()) + 4 == b)
    assert len(seen) == len(table)
    for a in range(4):
        nearest = (directions[4:] @ directions[a]).topk(2).indices
        assert {(a, 4 + int(b)) for b in nearest} <= seen


def test_latents_that_fire_too_rarely_are_matched_by_direction_at_most():
    codes = torch.zeros(500, 60)
    codes[:5] = 1
    directions = random_directions(30, 64).repeat(2, 1)
    table = match_latents(table_of(codes), nulls_of(codes), directions, two_saes((30, 30))).pairs
    assert set(matched(table).values()) == {BY_COSINE}


@pytest.mark.parametrize(("d", "sizes"), [(256, (64, 1024)), (512, (512, 2048)), (64, (128, 512))])
def test_directions_that_have_nothing_to_do_with_each_other_are_not_matched(d, sizes):
    """Held against one random pair instead of the nearest of hundreds, half of them would be."""
    n = sum(sizes)
    codes = (torch.rand(1000, n, generator=torch.Generator().manual_seed(1)) < 0.01).float()
    groups = two_saes(sizes)
    found = match_latents(table_of(codes), nulls_of(codes), random_directions(n, d), groups)
    row, _ = overlap(found, table_of(codes), groups.group, 20)
    assert row["matched"] <= 4 and row["expected"] <= 2
    assert found.chance[0, 1].least_cosine > cosine_null(random_directions(n, d), 0.999)


def test_as_many_are_matched_in_the_null_as_are_expected():
    """A dictionary dealt out once more is a draw of the null: what is matched in it is what chance gives."""
    base = random_directions(600, 48) + 1.5 * random_directions(1, 48, seed=7)  # not spread out evenly
    base = torch.nn.functional.normalize(base, dim=1)
    group = np.repeat([0, 1], [100, 500])
    null = nearest_null(base, group)[0, 1]
    drawn = dealt_out(base, np.random.default_rng(5))
    counts = []
    for _ in range(60):
        dealt = next(drawn).float()
        counts.append(int((both_ways(dealt[:100], dealt[100:])[2] > null.least).sum()))
    assert abs(np.mean(counts) - null.expected) < 0.5 and null.expected < 1


def test_what_is_found_twice_is_matched_and_stands_above_chance():
    n, d = 200, 64
    directions = random_directions(n, d)
    noisy = torch.nn.functional.normalize(directions + 0.02 * torch.randn(n, d), dim=1)
    codes = (torch.rand(1000, 2 * n, generator=torch.Generator().manual_seed(1)) < 0.02).float()
    groups = two_saes((n, n))
    found = match_latents(table_of(codes), nulls_of(codes), torch.cat([directions, noisy]), groups)
    row, back = overlap(found, table_of(codes), groups.group, 20)
    assert row["matched"] == back["matched"] == n and row["expected"] < 1


def test_the_nearest_both_ways_by_hand():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    y = torch.tensor([[0.8, 0.6], [0.0, -1.0]])
    of_x, of_y, mutual = both_ways(x, y)
    np.testing.assert_allclose(of_x, [0.8, 0.6, 0.96], rtol=1e-6)
    np.testing.assert_allclose(of_y, [0.96, 0.0], atol=1e-6)
    np.testing.assert_allclose(mutual, [0.96], rtol=1e-6)
