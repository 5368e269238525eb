"""What is drawn: histograms, figures, maps, bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from msae_dashboards.view.nodes.node import Content, Node

if TYPE_CHECKING:
    import plotly.graph_objects as go


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
