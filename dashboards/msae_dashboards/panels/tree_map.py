"""The tree as a map: a box a latent, those it is a parent of inside it. A branch is a link to its own page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dash import dcc, html
from dash.development.base_component import Component

from msae.analysis.hierarchy.branches import Branches, Edge
from msae_dashboards.address import Address, feature_href, tree_href
from msae_dashboards.feature_index import FeatureIndex
from msae_dashboards.panels.latent import kept_level
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import level_chip
from msae_dashboards.tables import RunTables
from msae_dashboards.treemap import Box, Rectangle, nested
from msae_dashboards.visible import quoted

WIDTH, LOW, HIGH = 1240.0, 150.0, 560.0
BOX_AREA = 3000.0
MOST_BOXES, MOST_CHILDREN, MOST_ROOTS = 180, 30, 30
MORE = -1
"""MORE − j stands for the children of latent j that are not shown."""


def render(tables: RunTables, address: Address) -> Component:
    """The branches of this page of the tree, or the latents inside one."""
    branches, features = tables.branches(), tables.features()
    inner: Mapping[int, Sequence[Edge]] = branches.placed if address.latent is None else branches.children
    if address.latent is None:
        tops = roots_shown(tables, address)
    else:
        tops = [edge.child for edge in branches.children.get(address.latent, ())]
    if not tops:
        return html.P(_nothing(address), className="note")
    shown = _shown(tops, inner)
    sizes = _sizes(tops, shown)
    height = min(max(BOX_AREA * sum(sizes[top] for top in tops) / WIDTH, LOW), HIGH)
    boxes = nested(tops, shown, sizes, Rectangle(0.0, 0.0, WIDTH, height))
    strength = {edge.child: edge.strength for own in inner.values() for edge in reversed(own)}
    parts = [_box(box, branches, features, strength, inner) for box in boxes]
    levels = sorted({int(features.level[box.item]) for box in boxes if box.item >= 0})
    key = [
        "Area: latents in the branch. Shade: strength of the edge to the parent. ",
        html.Span([level_chip(level) for level in levels], className="chips"),
    ]
    return html.Div(
        [
            html.Div(parts, className="treemap", style={"height": f"{height:.0f}px"}),
            html.P([*key, " A click opens a branch; a latent without children, its feature."], className="note"),
        ]
    )


def roots_shown(tables: RunTables, address: Address) -> list[int]:
    """The roots on the page of the tree that an address names, of the level it keeps to."""
    pages = root_pages(tables, kept_level(tables, address))
    page = min(max(address.whole("page") or 1, 1), max(len(pages), 1))
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
    box: Box[int],
    branches: Branches,
    features: FeatureIndex,
    strength: Mapping[int, float],
    inner: Mapping[int, Sequence[Edge]],
) -> Component:
    where = box.where
    style = {
        "left": f"{100 * where.x / WIDTH:.2f}%",
        "top": f"{where.y:.0f}px",
        "width": f"{100 * where.width / WIDTH:.2f}%",
        "height": f"{where.height:.0f}px",
    }
    if box.item < 0:
        parent = MORE - box.item
        rest = len(inner[parent]) - MOST_CHILDREN + 1
        return dcc.Link(f"+{rest}", href=tree_href(parent), className="box more", style=style, title=f"{rest} more")
    tokens = [quoted(token) for token in features.top_tokens[box.item][:3]]
    level = int(features.level[box.item])
    edge = f", strength {strength[box.item]:.2f}" if box.item in strength else ""
    parent = box.item in branches.children
    name = [html.B(str(box.item)), " " + " ".join(tokens)] if box.open else (tokens or [str(box.item)])[0]
    return dcc.Link(
        name,
        href=tree_href(box.item) if parent else feature_href(box.item),
        className=f"box level-{level % 7}" + (" open" if box.open else ""),
        style={**style, "--s": round(strength.get(box.item, 1.0), 2)},
        title=f"{box.item}, level {level}: {' '.join(tokens)}{edge}",
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
