"""Branches of a tree given by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from msae.analysis.hierarchy.branches import Branches, Edge


@pytest.fixture
def branches() -> Branches:
    """0 ⊃ 10 ⊃ 20, so that 0 ⊃ 20 too; 20 is also under 1; 1 ⊃ 11; the strongest first."""
    edges = [(0, 10, 0.9), (1, 20, 0.8), (10, 20, 0.7), (0, 20, 0.6), (1, 11, 0.5)]
    parent, child, strength = zip(*edges, strict=True)
    return Branches.of(pa.table({"parent": parent, "child": child, "strength": strength}))


def test_every_parent_is_kept_and_a_grandparent_is_not_a_nearest_one(branches):
    assert [edge.parent for edge in branches.parents[20]] == [1, 10, 0]
    assert branches.nearest[20] == [Edge(1, 20, 0.8), Edge(10, 20, 0.7)]
    assert [edge.child for edge in branches.children[0]] == [10]
    assert [edge.child for edge in branches.children[1]] == [20, 11]


def test_roots_come_by_the_strength_of_their_edges(branches):
    assert branches.roots == [1, 0]


def test_each_latent_is_placed_once(branches):
    assert {latent: [edge.child for edge in own] for latent, own in branches.placed.items()} == {0: [10], 1: [20, 11]}
    assert branches.sizes == {0: 2, 1: 3, 10: 1, 11: 1, 20: 1}


def test_no_edges():
    empty = Branches.of(pa.table({"parent": pa.array([], pa.int32()), "child": [], "strength": []}))
    assert empty.roots == [] and empty.sizes == {}
