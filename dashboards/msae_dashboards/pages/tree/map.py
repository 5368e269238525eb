"""The tree as a map: a box a latent, those it is a parent of inside it. A branch is a link to its own page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msae.analysis.hierarchy.branches import Branches, Edge
from msae_dashboards.address import Address, feature_href, tree_href
from msae_dashboards.data.feature_index import FeatureIndex
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.latents import kept_level
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Content, LevelChip, MapBox, Paragraph, Strong, Text, Treemap
from msae_dashboards.view.treemap import Placed, Rectangle, nested
from msae_dashboards.view.visible import quoted

WIDTH, LOW, HIGH = 1240.0, 150.0, 560.0
BOX_AREA = 3000.0
MOST_BOXES, MOST_CHILDREN, MOST_ROOTS = 180, 30, 30
MORE = -1
"""MORE − j stands for the children of latent j that are not shown."""


def render(visit: Visit) -> Content:
    """The branches of this page of the tree, or the latents inside one."""
    branches, features, latent = visit.tables.branches(), visit.tables.features(), visit.address.latent
    inner: Mapping[int, Sequence[Edge]] = branches.placed if latent is None else branches.children
    tops = roots_shown(visit) if latent is None else [edge.child for edge in branches.children.get(latent, ())]
    if not tops:
        return Paragraph(_nothing(visit.address), "note")
    shown = _shown(tops, inner)
    sizes = _sizes(tops, shown)
    height = min(max(BOX_AREA * sum(sizes[top] for top in tops) / WIDTH, LOW), HIGH)
    places = nested(tops, shown, sizes, Rectangle(0.0, 0.0, WIDTH, height))
    strength = {edge.child: edge.strength for own in inner.values() for edge in reversed(own)}
    boxes = [_box(placed, branches, features, strength, inner) for placed in places]
    levels = Text(
        [LevelChip(level) for level in sorted({box.level for box in boxes if box.level is not None})], "chips"
    )
    key: list[Content] = ["Area: latents in the branch. Shade: strength of the edge to the parent. ", levels]
    return [
        Treemap(height, boxes),
        Paragraph([*key, " A click opens a branch; a latent without children, its feature."], "note"),
    ]


def roots_shown(visit: Visit) -> list[int]:
    """The roots on the page of the tree that an address names, of the level it keeps to."""
    pages = root_pages(visit.tables, kept_level(visit))
    page = min(max(visit.address.whole("page") or 1, 1), max(len(pages), 1))
    return pages[page - 1] if pages else []


def root_pages(tables: RunTables, level: int | None) -> list[list[int]]:
    """The roots (of one level), the strongest branches first, in pages of so many boxes as can be told apart."""
    branches, features = tables.branches(), tables.features()
    roots = [root for root in branches.roots if level is None or features.level[root] == level]
    shown = _shown(roots, branches.placed)
    sizes = _sizes(roots, shown)
    pages: list[list[int]] = []
    room = 0.0
    for root in roots:
        if sizes[root] > room or len(pages[-1]) == MOST_ROOTS:
            pages.append([])
            room = float(MOST_BOXES)
        pages[-1].append(root)
        room -= sizes[root]
    return pages


def _shown(tops: Sequence[int], inner: Mapping[int, Sequence[Edge]]) -> dict[int, list[int]]:
    """Of every latent below `tops`, the children that get a box; what is left over gets one together."""
    found: dict[int, list[int]] = {}
    waiting = list(tops)
    while waiting:
        latent = waiting.pop()
        if latent in found:
            continue
        own = [edge.child for edge in inner.get(latent, ())]
        cut = own if len(own) <= MOST_CHILDREN else own[: MOST_CHILDREN - 1]
        found[latent] = [*cut, *([MORE - latent] if len(own) > len(cut) else [])]
        waiting += cut
    return found


def _sizes(tops: Sequence[int], shown: Mapping[int, Sequence[int]]) -> dict[int, float]:
    sizes: dict[int, float] = {}

    def grow(item: int) -> float:
        if item not in sizes:
            sizes[item] = 1.0 + sum(grow(child) for child in shown.get(item, ()))
        return sizes[item]

    for top in tops:
        grow(top)
    return sizes


def _box(
    placed: Placed[int],
    branches: Branches,
    features: FeatureIndex,
    strength: Mapping[int, float],
    inner: Mapping[int, Sequence[Edge]],
) -> MapBox:
    place, item = placed.where, placed.item
    left, width = 100 * place.x / WIDTH, 100 * place.width / WIDTH
    if item < 0:
        parent = MORE - item
        rest = len(inner[parent]) - MOST_CHILDREN + 1
        return MapBox(left, place.y, width, place.height, f"+{rest}", tree_href(parent), f"{rest} more")
    tokens = [quoted(token) for token in features.top_tokens[item][:3]]
    level = int(features.level[item])
    edge = f", strength {strength[item]:.2f}" if item in strength else ""
    name: Content = [Strong(str(item)), " " + " ".join(tokens)] if placed.open else (tokens or [str(item)])[0]
    return MapBox(
        left,
        place.y,
        width,
        place.height,
        name,
        tree_href(item) if item in branches.children else feature_href(item),
        f"{item}, level {level}: {' '.join(tokens)}{edge}",
        level=level,
        strength=strength.get(item, 1.0),
        open=placed.open,
    )


def _nothing(address: Address) -> str:
    if address.latent is not None:
        return "No latent of a later level fires only where this one does."
    return "There is no edge to show: no latent of a later level fires only where one of an earlier level does."


PANEL = Panel(
    name="tree-map",
    title="Map",
    about="run",
    needs=("features", "tree"),
    render=render,
    hint="In the whole tree each latent is drawn once, under the nearest parent it has the strongest edge to",
)
