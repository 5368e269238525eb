"""What is around panels: the panel as it is shown, links through a page's states, the page itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msae_dashboards.view.nodes.node import Content, Node


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
