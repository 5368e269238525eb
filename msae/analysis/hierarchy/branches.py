"""The tree latent by latent: all parents of each, the nearest of them, and the branches that grow from the roots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa


@dataclass(frozen=True)
class Edge:
    """One edge of table ``tree``."""

    parent: int
    child: int
    strength: float


@dataclass(frozen=True, kw_only=True)
class Branches:
    """The edges of table ``tree`` by latent, the strongest first in every list.

    `parents`: of a latent, all of them. `nearest`: those of them that are not also a parent of another of them; there
    may be several, so branches overlap. `children`: of a latent, those it is a nearest parent of.
    """

    parents: Mapping[int, Sequence[Edge]]
    nearest: Mapping[int, Sequence[Edge]]
    children: Mapping[int, Sequence[Edge]]

    @classmethod
    def of(cls, tree: pa.Table) -> Branches:
        """From the table, whose edges come the strongest first."""
        parents, nearest, children = (defaultdict[int, list[Edge]](list) for _ in range(3))
        columns = (tree[name].to_pylist() for name in ("parent", "child", "strength"))
        edges = [Edge(*values) for values in zip(*columns, strict=True)]
        for edge in edges:
            parents[edge.child].append(edge)
        above = {child: {edge.parent for edge in own} for child, own in parents.items()}
        for edge in edges:
            if not any(edge.parent in above.get(other, ()) for other in above[edge.child]):
                nearest[edge.child].append(edge)
                children[edge.parent].append(edge)
        return cls(parents=dict(parents), nearest=dict(nearest), children=dict(children))

    @cached_property
    def roots(self) -> list[int]:
        """The latents with children and no parent; those whose edges to their children are strongest in sum first."""
        weight = {latent: sum(edge.strength for edge in own) for latent, own in self.children.items()}
        return sorted((latent for latent in weight if latent not in self.parents), key=lambda j: (-weight[j], j))

    @cached_property
    def placed(self) -> dict[int, list[Edge]]:
        """`children` with each latent once: under the nearest parent it has the strongest edge to."""
        found: dict[int, list[Edge]] = {}
        for latent, own in self.children.items():
            kept = [edge for edge in own if self.nearest[edge.child][0] is edge]
            if kept:
                found[latent] = kept
        return found

    @cached_property
    def sizes(self) -> dict[int, int]:
        """How many latents the branch of each latent of the tree holds in `placed`, itself included."""
        found: dict[int, int] = {}

        def grow(latent: int) -> int:
            if latent not in found:
                found[latent] = 1 + sum(grow(edge.child) for edge in self.placed.get(latent, ()))
            return found[latent]

        for latent in self.children:
            grow(latent)
        return found
