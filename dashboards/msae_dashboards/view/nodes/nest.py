"""A text at every level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msae_dashboards.view.nodes.node import Node


@dataclass(frozen=True)
class NestCell:
    """The latent of a level that contributes most to a token. `kind`: at the ``outer`` level, ``inside`` a parent that
    fires on the same token, or ``new`` there. `more`: how many others of the level fire."""

    latent: int
    text: str
    kind: Literal["outer", "inside", "new"]
    href: str
    meaning: str
    parent: int | None = None
    more: int = 0


@dataclass(frozen=True)
class NestHole:
    """A parent that is missing where a child, which has absorbed it, fires."""

    parent: int
    child: int
    href: str
    meaning: str


@dataclass(frozen=True)
class NestToken:
    """A token of a `Nest`. `lanes`: of each level the cell, if any latent fires, and the holes. `said`: in each view
    the likeliest next token, and whether it follows (None: nothing does). `gains`: nats of each level over the one
    before; None where no token follows. `cut`: the model begins anew here, without the tokens before."""

    text: str
    id: int
    meaning: str
    lanes: Sequence[tuple[NestCell | None, Sequence[NestHole]]]
    said: Sequence[tuple[str, bool | None]] = ()
    gains: Sequence[float | None] = ()
    cut: bool = False


@dataclass(frozen=True)
class Nest(Node):
    """A text, a lane a level. `views`: who says what is `said`. `level`: whose gains colour the tokens at first."""

    tokens: Sequence[NestToken]
    n_levels: int
    views: Sequence[str]
    level: int
    label: str
