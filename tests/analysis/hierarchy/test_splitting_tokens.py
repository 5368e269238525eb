from __future__ import annotations

import pytest
import torch

from msae.analysis.all_measurements import Splitting
from msae.core.errors import ConfigError

SPOTS = torch.randperm(1600, generator=torch.Generator().manual_seed(0))[:150].sort().values.tolist()
"""What fires is spread over documents of 50 rows: the rows that the tests below count from 0."""


@pytest.fixture
def family(from_codes):
    """Parent 0 on spots 0 … 79, ever stronger; child 2 on 0 … 19, child 3 on 10 … 39 (so both on 10 … 19)."""
    codes = torch.zeros(1600, 4)
    codes[SPOTS[:80], 0] = torch.arange(80) + 1.0
    codes[SPOTS[:20], 2] = 5
    codes[SPOTS[10:40], 3] = torch.arange(30) + 1.0
    codes[SPOTS[100:150], 1] = 1
    return from_codes(codes, (2, 4))


def tokens_of(family, **settings) -> list[dict]:
    rows = Splitting(**settings).run(family).tables["splitting_tokens"].to_pylist()
    return [{**row, "spot": SPOTS.index(row["row"])} for row in rows]


def test_tokens_of_each_child_and_those_no_child_covers(family):
    rows = tokens_of(family, per_child=3, uncovered=4)
    assert [(row["parent"], row["picked_for"]) for row in rows] == [(0, 3)] * 3 + [(0, 2)] * 3 + [(0, -1)] * 4
    # Child 3's thirty tokens, strongest first: the middles of three thirds are its ranks 5, 15 and 25.
    assert [row["spot"] for row in rows[:3]] == [34, 24, 14]
    assert [row["children"] for row in rows[:3]] == [[3], [3], [2, 3]]
    assert [row["child_values"] for row in rows[:3]] == [[25], [15], [5, 5]]
    assert all(row["parent_value"] == row["spot"] + 1 for row in rows)
    uncovered = rows[-4:]
    assert [row["spot"] for row in uncovered] == [74, 64, 54, 44]
    assert all(row["children"] == [] and row["child_values"] == [] for row in uncovered)


def test_contexts_carry_the_parents_activation_and_stay_in_their_document(family):
    rows = tokens_of(family, reach=20)
    for row in rows:
        document, offset = divmod(row["row"], 50)
        assert (row["document"], row["offset"], row["position"]) == (str(document), offset, min(offset, 20))
        context = range(row["row"] - row["position"], min(row["row"] + 21, 50 * (document + 1)))
        assert row["context_values"] == [SPOTS.index(r) + 1 if r in SPOTS[:80] else 0 for r in context]
        assert row["context_ids"] == [r % 11 for r in context]
        assert row["context_ids"][row["position"]] == row["token_id"]
    assert {row["position"] for row in rows} - {20}, "some are near their document's start"


def test_only_the_largest_children_have_tokens_of_their_own(family):
    rows = tokens_of(family, children_shown=1)
    assert {row["picked_for"] for row in rows} == {3, -1}
    assert any(row["children"] == [2, 3] for row in rows), "the others are still named where they fire"


def test_a_parent_wholly_covered_has_no_uncovered_token(from_codes):
    codes = torch.zeros(200, 3)
    codes[:40, 0] = codes[:40, 1] = codes[100:, 2] = 1
    rows = Splitting().run(from_codes(codes, (1, 3))).tables["splitting_tokens"].to_pylist()
    assert {row["picked_for"] for row in rows} == {1}


def test_counts_are_checked():
    for field in ("per_child", "uncovered", "children_shown", "reach"):
        with pytest.raises(ConfigError, match=field):
            Splitting(**{field: -1})
