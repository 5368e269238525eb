"""Tokens in context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msae_dashboards.view.nodes.node import Content, Node


@dataclass(frozen=True)
class TokenStrip(Node):
    """A passage of tokens, coloured by activation / `largest`, the one at `position` bold; an id for one without text.

    `line_breaks`: a new line is also begun after its sign. `specials`: special tokens, which have no activation, by the
    token they stand before; `cuts`: the tokens with which the model begins anew, without those before.
    """

    texts: Sequence[str | None]
    ids: Sequence[int]
    values: Sequence[float]
    position: int
    largest: float
    line_breaks: bool = False
    specials: Mapping[int, Sequence[str]] = field(default_factory=dict)
    cuts: Sequence[int] = ()


@dataclass(frozen=True)
class Example(Node):
    """An activation and the passage around it. `where`: where that passage is from."""

    value: str
    strip: TokenStrip
    where: str


@dataclass(frozen=True)
class Lines(Node):
    """One passage once for each of several latents: (who, what it does there, the passage)."""

    lines: Sequence[tuple[str, str, TokenStrip]]
    meaning: str = ""


@dataclass(frozen=True)
class ContextControls(Node):
    """How much context passages show, and on which scale their colours are."""


@dataclass(frozen=True)
class Together:
    """One token in a `SideBySide`: its passage, and every latent's (figure, strength, whether it was picked for it)."""

    strip: TokenStrip
    where: str
    cells: Sequence[tuple[str, float, bool] | None]


@dataclass(frozen=True)
class SideBySide(Node):
    """Latents side by side on the same tokens. `latents`: (number, level, its token or name); `groups`: what the tokens
    of each were picked for, and the tokens."""

    caption: str
    latents: Sequence[tuple[int, int, str]]
    groups: Sequence[tuple[Content, Sequence[Together]]]
