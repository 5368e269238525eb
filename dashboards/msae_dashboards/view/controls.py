"""Controls: nodes that a reader types into or chooses from. A page's script reads them by `name`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msae_dashboards.view.nodes import Content, Node


@dataclass(frozen=True)
class TextField(Node):
    """A line of text, or several lines (`rows`)."""

    name: str
    label: str
    value: str = ""
    placeholder: str = ""
    rows: int = 1
    wide: bool = False


@dataclass(frozen=True)
class RangeField(Node):
    """Two numbers, the least and the most: the fields ``<name>_min`` and ``<name>_max``."""

    name: str
    label: str
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Several(Node):
    """Any of these: (value, what is shown)."""

    name: str
    label: str
    options: Sequence[tuple[str, Content]]
    chosen: Sequence[str] = ()


@dataclass(frozen=True)
class OneOf(Node):
    """One of these: (value, what is shown)."""

    name: str
    label: str
    options: Sequence[tuple[str, str]]
    chosen: str = ""


@dataclass(frozen=True)
class Slider(Node):
    """A number from `low` to `high`, with marks to aim at."""

    name: str
    label: str
    value: float | int
    low: float | int
    high: float | int
    step: float
    marks: Sequence[int] = ()
    unit: str = ""


@dataclass(frozen=True)
class Controls(Node):
    """Controls in a row; `search`: they search something."""

    parts: Content
    search: bool = False


@dataclass(frozen=True)
class Place(Node):
    """Where a page's script puts what the server answers. `spoken`: a change is read out."""

    id: str
    parts: Content = None
    kind: str = ""
    spoken: bool = False


@dataclass(frozen=True)
class PickRow:
    """A latent in a `PickList`: whether it is the one chosen, a link to it, its figure."""

    latent: int
    chosen: bool
    link: Content
    figure: Content


@dataclass(frozen=True)
class PickList(Node):
    """Latents to choose one of, each with a link to its page."""

    rows: Sequence[PickRow]


@dataclass(frozen=True)
class PickToken(Node):
    """A passage whose tokens are clicked to choose one."""

    strip: Content
    label: str


@dataclass(frozen=True)
class TokenStep(Node):
    """A button that chooses the token before or after (``previous``, ``next``); None: there is none."""

    label: str
    name: str
    token: int | None


@dataclass(frozen=True)
class Progress(Node):
    """How much of a text is written, 0 to 1."""

    done: float
    label: str


@dataclass(frozen=True)
class WrittenText(Node):
    """Tokens that a model has written; the one at `differs_at` is marked."""

    texts: Sequence[str]
    differs_at: int | None = None
