from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msae.analysis.all_measurements import Splitting
from msae.analysis.hierarchy.splitting import ALL_LATER, partition
from msae.analysis.tables import Status


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int32)


def test_disjoint_children_by_hand():
    # 8 tokens: one child has 3 of them, the other 1; 4 belong to nobody. Token 9 is not the parent's.
    found = partition(np.arange(8), [rows(0, 1, 2, 9), rows(5)])
    assert (found.coverage, found.overlap) == (0.5, 0)
    assert found.shares.tolist() == [0.75, 0.25]
    assert found.entropy == pytest.approx(-(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)))


def test_overlapping_children_by_hand():
    # Tokens 0, 1 have both children, 2 has one: 5 firings on 3 tokens.
    found = partition(np.arange(4), [rows(0, 1), rows(0, 1, 2)])
    assert found.coverage == 0.75
    assert found.overlap == pytest.approx(5 / 3 - 1)
    assert found.shares.tolist() == pytest.approx([1 / 3, 2 / 3])


def test_a_parent_without_children_on_its_tokens():
    for children in ([], [rows(9)], [rows()]):
        found = partition(np.arange(4), children)
        assert (found.coverage, found.overlap, found.entropy) == (0, 0, 0)


@given(st.lists(st.sets(st.integers(0, 30)), max_size=5))
def test_laws(children):
    found = partition(np.arange(20), [rows(*sorted(child)) for child in children])
    assert 0 <= found.coverage <= 1 and 0 <= found.overlap <= max(0, len(children) - 1)
    assert found.shares.sum() == pytest.approx(1 if found.coverage else 0)
    assert -1e-12 <= found.entropy <= np.log2(max(1, len(children))) + 1e-9
    # The order of the children changes nothing but the order of the shares.
    again = partition(np.arange(20), [rows(*sorted(child)) for child in reversed(children)])
    assert again.shares[::-1] == pytest.approx(found.shares) and again.entropy == pytest.approx(found.entropy)


def test_tables_by_hand(from_codes, build):
    # Parent 0 on 80 tokens; children 2 and 3 split 40 of them evenly, 4 (a later level) has 20; parent 1 has no child.
    codes = torch.zeros(400, 5)
    codes[:80, 0] = codes[:20, 2] = codes[20:40, 3] = codes[60:80, 4] = 1
    codes[100:150, 1] = 1
    result = Splitting().run(from_codes(build.mixed(codes), (2, 4, 5)))
    table = {row["child_level"]: row for row in result.tables["splitting"].to_pylist()}
    assert set(table) == {1, 2, ALL_LATER}
    assert table[1]["children"] == [2, 3] and table[1]["coverage"] == 0.5 and table[1]["entropy"] == 1
    assert table[2]["children"] == [4] and table[2]["coverage"] == 0.25 and table[2]["entropy"] == 0
    assert table[ALL_LATER]["coverage"] == 0.75
    assert table[ALL_LATER]["entropy"] == pytest.approx(np.log2(3))
    levels = {(row["parent_level"], row["child_level"]): row for row in result.tables["splitting_levels"].to_pylist()}
    assert set(levels) == {(0, 1), (0, 2), (1, 2)}
    between = levels[0, 1]
    assert (between["status"], between["n_parents"], between["with_children"], between["split"]) == (Status.OK, 2, 1, 1)
    assert between["children_per_parent"] == 1 and between["coverage"] == 0.5 and between["coverage_error"] is None
    assert levels[1, 2]["with_children"] == 0 and levels[1, 2]["coverage"] is None
    assert result.summary["parents_split"] == 1


def test_shifted_children_cover_what_chance_gives(forest):
    table = Splitting().run(forest.collected).tables["splitting"].to_pandas()
    assert table.coverage.mean() == pytest.approx(0.8, abs=0.03)  # the forest's child_rate
    density = forest.collected.codes.density
    expected = []
    for row in table.itertuples():
        # A shift keeps a child in its document of 50 tokens: 1 in 50 times where it was.
        really = np.array(row.shares) * row.coverage
        by_chance = density[row.children] + (really - density[row.children]) / 50
        expected.append(1 - np.prod(1 - by_chance))
    assert table.null_coverage.mean() == pytest.approx(np.mean(expected), abs=0.01)


def test_levels_without_life_are_named(from_codes):
    codes = torch.zeros(100, 6)
    codes[:3, :2] = 1
    codes[::2, 4] = 1
    table = Splitting().run(from_codes(codes, (2, 4, 6))).tables["splitting_levels"].to_pylist()
    assert [row["status"] for row in table] == [Status.NEVER, Status.FEW, Status.NEVER]
