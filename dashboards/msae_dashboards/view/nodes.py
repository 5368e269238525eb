"""What panels return: the parts of a page, each a frozen dataclass of plain values. `view/html` writes them.

Texts are plain: whatever they hold is shown, never read as HTML. Addresses are those of `address.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import plotly.graph_objects as go


class Node:
    """A part of a page."""

    __slots__ = ()


Content: TypeAlias = "str | int | Node | Sequence[Content] | None"
"""A part, a text, several of these, or nothing."""


# Within a line


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


# Tables


@dataclass(frozen=True)
class Head:
    """The head of a column. `left`: it holds texts; figures stand right."""

    name: Content
    meaning: str = ""
    left: bool = False


@dataclass(frozen=True)
class Table(Node):
    """A table; the first column holds texts. `caption` is for those who cannot see it."""

    caption: str
    columns: Sequence[Head]
    rows: Sequence[Sequence[Content]]


@dataclass(frozen=True)
class Cell:
    """A cell of a `HeatTable`: its text, how warm it is (0 to 1; None: empty), where it leads, whether that is here."""

    text: str = ""
    warmth: float | None = None
    href: str = ""
    meaning: str = ""
    here: bool = False


@dataclass(frozen=True)
class HeatTable(Node):
    """A table whose cells are coloured by a figure and lead to what it is about."""

    caption: str
    columns: Sequence[Content]
    rows: Sequence[tuple[Content, Sequence[Cell]]]


@dataclass(frozen=True)
class IndexRow:
    """A latent in an `Index`: its cells, each with what it is ordered by (None: by its text)."""

    latent: int
    level: int
    cells: Sequence[tuple[Content, float | int | None]]


@dataclass(frozen=True)
class Index(Node):
    """Latents as a table that a page's script filters and orders without a server."""

    columns: Sequence[str]
    rows: Sequence[IndexRow]


# Tokens in context


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


# A text at every level


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


# Figures


@dataclass(frozen=True)
class Histogram(Node):
    """Counts of `what` in equally wide bins of `axis` over [`low`, `high`]. `label` says in words what is seen.
    `signed`: bars below zero have a colour of their own, and zero is marked."""

    counts: Sequence[int]
    low: float
    high: float
    what: str
    label: str
    signed: bool = False
    axis: str = ""


@dataclass(frozen=True)
class Figure(Node):
    """A plotly figure. `label` says in words what it shows."""

    drawn: go.Figure
    label: str
    height: int = 300


@dataclass(frozen=True)
class LogitList(Node):
    """Tokens by their logit, (token, its id, logit as text, strength 0 to 1); `side`: for or against."""

    side: Literal["positive", "negative"]
    entries: Sequence[tuple[str | None, int, str, float]]


@dataclass(frozen=True)
class MapBox:
    """A latent's box in a `Treemap`: where it lies, in percent and pixels; `level` None: it stands for several latents;
    `strength`: of the edge to its parent, 0 to 1; `open`: others lie inside it."""

    left: float
    top: float
    width: float
    height: float
    content: Content
    href: str
    meaning: str
    level: int | None = None
    strength: float = 1.0
    open: bool = False


@dataclass(frozen=True)
class Treemap(Node):
    """Boxes inside boxes, `height` pixels high."""

    height: float
    boxes: Sequence[MapBox]


@dataclass(frozen=True)
class Segment:
    """A part of a `Partition`: its share of the whole; `level` None: what belongs to no latent."""

    name: str
    share: float
    meaning: str
    level: int | None


@dataclass(frozen=True)
class Partition(Node):
    """A whole shared out, as a bar. `label` says it in words."""

    segments: Sequence[Segment]
    label: str


# Around panels


@dataclass(frozen=True)
class Box(Node):
    """A panel as it is shown: under a heading, with what it shows in a sentence (`hint`). `label`: its name for those
    who cannot see it."""

    name: str
    title: Content
    parts: Content
    label: str
    hint: str = ""


@dataclass(frozen=True)
class Choice:
    """One of several states of a page: what is shown, its address, whether it is this one."""

    content: Content
    href: str
    here: bool


@dataclass(frozen=True)
class Choices(Node):
    """States to choose from."""

    choices: Sequence[Choice]
    label: str


@dataclass(frozen=True)
class Move(Node):
    """A link to what comes before, after, or elsewhere; without an address, a dead end. The arrow keys follow those
    named ``previous`` and ``next``."""

    label: str
    href: str | None
    name: str = ""


@dataclass(frozen=True)
class Random(Node):
    """A button that opens one of many: at `href`, which a number from 0 to 1 completes, or one `among` these."""

    href: str = ""
    among: Sequence[str] = ()


@dataclass(frozen=True)
class Moves(Node):
    """Where one can go from here."""

    moves: Sequence[Move | Random]
    label: str


@dataclass(frozen=True)
class Body(Node):
    """A page: its title (and the name of what it is about), what stands next to the title, and its parts."""

    title: str
    parts: Content
    name: str = ""
    head: Content = None
    kind: str = ""

    @property
    def full_title(self) -> str:
        """Title and name, for the browser's tab."""
        return f"{self.title} {self.name}".strip()
