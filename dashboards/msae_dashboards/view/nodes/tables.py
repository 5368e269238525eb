"""Tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msae_dashboards.view.nodes.node import Content, Node


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
