"""Which pairs of latents are tested for absorption.

A child that has absorbed its parent wholly never fires with it, and on heavy-tailed magnitudes its direction need not
be near: so neither co-firing nor cosine alone may choose. Candidates (p, c) are

    edges of the tree
    pairs that fire together less than the types of c's tokens make expect, by `least_hole` of c's tokens or more
    pairs whose decoder cosine exceeds the 99.9th percentile of any two directions of the null

In one band both directions are candidates; across bands the parent lies in the inner one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.analysis.hierarchy.edges import find_edges
from msae.analysis.hierarchy.token_types import TokenTypes
from msae.analysis.sample import Collected
from msae.analysis.sample.pairs import among_the_first

BLOCK_NUMBERS = 1 << 24
MOST_PARENTS = 16
"""Of a child, those with the largest holes."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The pairs, and how many there were before they were cut. `is_edge`: of the tree."""

    parent: Int[np.ndarray, " pairs"]
    child: Int[np.ndarray, " pairs"]
    is_edge: Bool[np.ndarray, " pairs"]
    found: int


def find_candidates(
    collected: Collected, types: TokenTypes, *, conditional: float, cosine: float, least_hole: float, most: int
) -> Candidates:
    """At most `most`: edges first, then by turns those of the largest holes and of the largest cosines."""
    edges = find_edges(collected, conditional)
    held = missing_together(collected, types, least_hole)
    alive = np.flatnonzero(collected.codes.counts)
    near = alive[close_pairs(collected.directions[torch.from_numpy(alive)], cosine)]
    same_band = collected.level_of[near[:, 0]] == collected.level_of[near[:, 1]]
    near = np.concatenate([near, near[same_band][:, ::-1]])
    near = near[np.argsort(-collected.cosine(near[:, 0], near[:, 1]), kind="stable")]
    parent = np.concatenate([edges.parent, held[:, 0], near[:, 0]])
    child = np.concatenate([edges.child, held[:, 1], near[:, 1]])
    rank = np.concatenate([np.full(len(edges), -1), np.arange(len(held)), np.arange(len(near))])
    order = np.argsort(rank, kind="stable")
    parent, child, is_edge = parent[order], child[order], rank[order] < 0
    _, first = np.unique(parent.astype(np.int64) * collected.codes.d_sae + child, return_index=True)
    kept = np.sort(first)[:most]
    return Candidates(parent=parent[kept], child=child[kept], is_edge=is_edge[kept], found=len(first))


def missing_together(collected: Collected, types: TokenTypes, least: float) -> Int[np.ndarray, "pairs 2"]:
    """Pairs (p, c) that fire together less than token types make expect, the largest shares of c's tokens first."""
    codes, level, often = collected.codes, collected.level_of, collected.often
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for latents, expected in types.expected_together():
        children = np.arange(latents.start, latents.stop)
        together = np.zeros_like(expected)
        for chunk, rows in enumerate(codes.chunks):
            together += (codes.firing_of(latents, chunk) @ codes.firing(rows)).toarray()
        share = (expected - together) / np.maximum(codes.counts[children], 1)[:, None]
        allowed = often[children][:, None] & often & (level <= level[children][:, None])
        allowed[children - latents.start, children] = False
        local, parent = np.nonzero(allowed & (share >= least))
        strength = share[local, parent]
        first = among_the_first(local, np.zeros_like(local), strength, MOST_PARENTS)
        found.append((parent[first], children[local[first]], strength[first]))
    parent, child, strength = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return np.stack([parent, child], axis=1)[np.argsort(-strength, kind="stable")]


def close_pairs(directions: Float[Tensor, "n d_in"], least: float) -> Int[np.ndarray, "pairs 2"]:
    """All pairs i < j of unit directions whose cosine exceeds `least`. At most 2²⁴ cosines are held at once."""
    n = len(directions)
    block = max(1, BLOCK_NUMBERS // max(n, 1))
    found = []
    for first in range(0, n, block):
        cosines = directions[first : first + block] @ directions[first:].T
        pairs = (cosines > least).triu(1).nonzero() + first
        found.append(pairs.numpy())
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


__all__ = ["Candidates", "close_pairs", "find_candidates", "missing_together"]
