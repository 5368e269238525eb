"""Threads between the levels of a text: which latent fires inside a parent, which is new, where one is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

NEW = -1


@dataclass(frozen=True)
class Hole:
    """A token on which a child fires without a parent that it has absorbed, by both witnesses (`absorption`)."""

    token: int
    parent: int
    child: int


@dataclass(frozen=True, kw_only=True)
class Threads:
    """`parent`: of each firing (token, latent), the parent in the feature tree that contributes most of those that fire
    on the same token, in whichever earlier level; `NEW` where none does. `holes`: in order of token, parent, child."""

    parent: Mapping[tuple[int, int], int]
    holes: tuple[Hole, ...]


def threads(
    fired: Mapping[tuple[int, int], float],
    parents: Mapping[int, Collection[int]],
    absorbed: Mapping[int, Collection[int]],
) -> Threads:
    """The threads of a text. `fired`: what each latent contributes to each token on which it fires, by (token, latent).
    `parents`: of each latent, its parents in the tree. `absorbed`: of each latent, those it has absorbed."""
    on: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for (token, latent), value in fired.items():
        on[token][latent] = value
    inside, holes = {}, []
    for token in sorted(on):
        here = on[token]
        for latent in here:
            above = [parent for parent in parents.get(latent, ()) if parent in here]
            inside[token, latent] = max(above, key=lambda parent: (here[parent], -parent), default=NEW)
            holes += [Hole(token, parent, latent) for parent in absorbed.get(latent, ()) if parent not in here]
    holes.sort(key=lambda hole: (hole.token, hole.parent, hole.child))
    return Threads(parent=inside, holes=tuple(holes))
