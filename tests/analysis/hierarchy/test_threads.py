"""Threads of a text by hand."""

from __future__ import annotations

from msae.analysis.hierarchy.threads import NEW, Hole, threads

PARENTS = {5: [1, 2], 9: [5], 7: []}


def test_a_latent_is_inside_the_parent_that_contributes_most_on_the_same_token() -> None:
    fired = {(0, 1): 1.0, (0, 2): 3.0, (0, 5): 2.0, (1, 1): 4.0, (2, 5): 1.0}
    found = threads(fired, PARENTS, {})
    assert found.parent[0, 5] == 2 and found.parent[2, 5] == NEW  # the parent of another token is none of this one
    assert found.parent[0, 1] == found.parent[1, 1] == NEW
    assert found.holes == ()


def test_a_thread_goes_to_a_parent_and_not_beyond_it() -> None:
    """A tree's parents are all ancestors that the table names: 9 has one, which is silent."""
    assert threads({(0, 1): 1.0, (0, 9): 1.0}, PARENTS, {}).parent[0, 9] == NEW


def test_a_hole_is_where_an_absorbed_parent_is_silent_and_its_child_fires() -> None:
    fired = {(0, 5): 1.0, (1, 5): 1.0, (1, 1): 0.1, (2, 1): 1.0, (3, 9): 1.0}
    found = threads(fired, PARENTS, {5: [1], 9: [5, 1]})
    assert found.holes == (Hole(0, 1, 5), Hole(3, 1, 9), Hole(3, 5, 9))


def test_of_equal_parents_the_first_is_taken() -> None:
    assert threads({(0, 1): 1.0, (0, 2): 1.0, (0, 5): 1.0}, PARENTS, {}).parent[0, 5] == 1
