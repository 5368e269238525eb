"""What stands within a line, and texts and lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msae_dashboards.view.nodes.node import Content, Node


@dataclass(frozen=True)
class Strong(Node):
    """Set off from the text around it."""

    content: Content


@dataclass(frozen=True)
class Text(Node):
    """A run of text. `kind`: how it looks; `meaning`: what a pointer that rests on it is told."""

    content: Content
    kind: Literal["", "value", "spread", "also", "chips", "counted", "density", "badge", "count", "state"] = ""
    meaning: str = ""


@dataclass(frozen=True)
class Term(Node):
    """A name with its definition."""

    name: Content
    meaning: str


@dataclass(frozen=True)
class Command(Node):
    """A command of the shell. `alone`: on a line of its own."""

    text: str
    alone: bool = False


@dataclass(frozen=True)
class Link(Node):
    """A link to an address; only its content where that address is not to be had (in an export, in a notebook)."""

    content: Content
    href: str
    kind: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class LevelChip(Node):
    """A level's number and colour; with `href`, to click."""

    level: int
    href: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class TokenChip(Node):
    """One token, in a list of tokens: white space at its ends shows. `id`: shown for a token without text."""

    text: str | None
    meaning: str = ""
    id: int | None = None


@dataclass(frozen=True)
class Tokens(Node):
    """Tokens side by side. `wrapped`: in a paragraph of as many lines as they take."""

    chips: Sequence[TokenChip]
    wrapped: bool = False


@dataclass(frozen=True)
class FeatureLink(Node):
    """A latent to click: its number, its level, the tokens it fires on most. `href`: to elsewhere than its page;
    `own`: whether it is one of the run, which alone have pages."""

    latent: int
    level: int | None = None
    tokens: Sequence[str] = ()
    href: str = ""
    own: bool = True


@dataclass(frozen=True)
class Meter(Node):
    """A figure from 0 to 1, as text and as a bar as long."""

    value: float | None
    text: str
    meaning: str = ""


@dataclass(frozen=True)
class Shade(Node):
    """A figure on a ground as strong as `strength`, 0 to 1."""

    text: str
    strength: float
    meaning: str = ""


# Texts and lists


@dataclass(frozen=True)
class Heading(Node):
    """A heading within a panel."""

    content: Content


@dataclass(frozen=True)
class Paragraph(Node):
    """A paragraph. `kind` ``note``: small and faint."""

    content: Content
    kind: Literal["", "note", "note first", "note chosen", "steered-by", "opening", "nest-intro"] = ""


@dataclass(frozen=True)
class Notice(Node):
    """What a reader must know before anything else. `urgent`: that something failed."""

    content: Content
    command: str = ""
    urgent: bool = False


@dataclass(frozen=True)
class Quotation(Node):
    """What something else says, and who."""

    content: Content
    source: Content


@dataclass(frozen=True)
class Stack(Node):
    """Parts one below the other, or as the style sheet lays out their `kind`."""

    parts: Content
    kind: str = ""


@dataclass(frozen=True)
class Fold(Node):
    """Parts that a click on the summary shows or hides."""

    summary: str
    parts: Content


@dataclass(frozen=True)
class Terms(Node):
    """Names and what each is, one a line."""

    entries: Sequence[tuple[str, Content]]


@dataclass(frozen=True)
class Figures(Node):
    """Headline figures: (name, figure, what it means)."""

    entries: Sequence[tuple[str, Content, str]]


@dataclass(frozen=True)
class Ranking(Node):
    """Latents by a figure, the first the first: (link, figure, what it says in full). `unit`: what the figures are."""

    entries: Sequence[tuple[Content, str, str]]
    label: str
    unit: str = ""


@dataclass(frozen=True)
class Pick:
    """One of a list to pick from; `here`: the one that was picked."""

    parts: Content
    here: bool


@dataclass(frozen=True)
class Picks(Node):
    """A list to pick from."""

    items: Sequence[Pick]


@dataclass(frozen=True)
class Branch:
    """A row of an outline, and those below it; `opened`: whether these show from the start."""

    row: Content
    below: Sequence[Branch] = ()
    opened: bool = True


@dataclass(frozen=True)
class Outline(Node):
    """An indented outline. `whole`: of many short branches, in columns where there is room."""

    branches: Sequence[Branch]
    whole: bool = False
