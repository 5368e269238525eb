"""How one parent's tokens are shared out among its children."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from dash import dcc, html
from dash.development.base_component import Component

from msae.analysis.hierarchy.splitting import ALL_LATER
from msae_dashboards.address import Address, feature_href, tree_href
from msae_dashboards.panels.latent import introduced, latent_of, linked
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import Content, figures, level_chip, meter, number, share, small_table
from msae_dashboards.tables import RunTables
from msae_dashboards.visible import quoted

SHOWN, SEGMENTS, LISTED = 6, 40, 40
NAMED = 0.05
"""Share of the bar from which on a segment has a name."""


def render(tables: RunTables, address: Address) -> Component:
    """The parent, headline figures, the partition as a bar, the children with their shares."""
    latent = latent_of(tables, address)
    row = family_of(tables, latent)
    ways = html.Nav(
        [
            dcc.Link("feature page", href=feature_href(latent), className="opens"),
            dcc.Link("branch of the tree", href=tree_href(latent), className="opens"),
        ],
        className="row",
        **{"aria-label": f"Pages of {latent}"},
    )
    head = html.Div([introduced(tables, latent), ways], className="introduction")
    if row is None:
        return html.Div([head, html.P("It has no children: there is nothing it splits into.", className="note")])
    children = by_share(row)
    return html.Div(
        [head, figures(_headlines(tables, row)), _bar(tables, row, children), _table(tables, row, children)]
    )


def family_of(tables: RunTables, latent: int) -> dict[str, Any] | None:
    """The row of table ``splitting`` that counts all children of a latent; None where it has none."""
    rows = tables.rows("splitting", latent, "parent")
    return next((row for row in rows if row["child_level"] == ALL_LATER), None)


def by_share(row: dict[str, Any]) -> list[tuple[int, float]]:
    """The children with their shares of the covered tokens, the largest first."""
    order = np.argsort(-np.array(row["shares"]), kind="stable")
    return [(row["children"][place], row["shares"][place]) for place in order.tolist()]


def _headlines(tables: RunTables, row: dict[str, Any]) -> list[tuple[str, Content, str]]:
    levels = Counter(tables.features().level[row["children"]].tolist())
    counted = [part for level in sorted(levels) for part in (f" {levels[level]} ", level_chip(level))]
    return [
        ("fires on", f"{row['n_parent']:,} tokens", ""),
        ("children", html.Span([f"{row['n_children']:,}:", *counted], className="counted"), "Edges of the tree"),
        (
            "effective children",
            f"{2 ** row['entropy']:.1f}",
            f"2 to the entropy of their shares, {number(row['entropy'], 2)} bits",
        ),
        ("coverage", share(row["coverage"], 1), "Share of the parent's tokens on which a child fires"),
        ("by chance", share(row["null_coverage"], 1), "Coverage with every latent's codes shifted within documents"),
        ("overlap", number(row["overlap"], 2), "Further children that fire where one does, on average"),
    ]


def _bar(tables: RunTables, row: dict[str, Any], children: list[tuple[int, float]]) -> Component:
    features = tables.features()
    parts = [(latent, row["coverage"] * part) for latent, part in children[:SEGMENTS] if part > 0]
    named = {latent: " ".join(map(quoted, features.top_tokens[latent][:1])) or str(latent) for latent, _ in parts}
    segments = [
        html.Span(
            named[latent] if part >= NAMED else "",
            className=f"segment level-{int(features.level[latent]) % 7}",
            style={"width": f"{100 * part:.2f}%"},
            title=f"{latent} {named[latent]}: {share(part, 1)} of the parent's tokens",
        )
        for latent, part in parts
    ]
    rest = 1 - row["coverage"]
    alone = html.Span(
        "no child" if rest >= 2 * NAMED else "",
        className="segment alone",
        title=f"no child fires on {share(rest, 1)} of the parent's tokens",
    )
    said = "; ".join(f"{named[latent]} {share(part, 0)}" for latent, part in parts[:6])
    label = f"The parent's tokens: {said}; no child {share(rest, 0)}"
    return html.Div([*segments, alone], className="partition", role="img", **{"aria-label": label})


def _table(tables: RunTables, row: dict[str, Any], children: list[tuple[int, float]]) -> Component:
    found = tables.where("tree", row["parent"], "parent") if tables.has("tree") else []
    own = {edge["child"]: edge for edge in found}
    head: list[Content] = ["child", "share of covered tokens", "P(child | parent)", "P(parent | child)", "strength"]
    body: list[list[Content]] = []
    for latent, part in children[:LISTED]:
        edge = own.get(latent, {})
        strength = edge.get("strength")
        body.append(
            [
                linked(tables, latent),
                meter(part, share(part, 1)),
                share(edge.get("p_child_given_parent", float("nan")), 1),
                share(edge.get("p_parent_given_child", float("nan")), 1),
                number(strength, 2),
            ]
        )
    caption = f"Children of {row['parent']}, the largest share first"
    parts: list[Component] = [small_table(head, body[:SHOWN], caption=caption)]
    if rest := body[SHOWN:]:
        said = html.Summary(f"{len(rest)} more" + (f" of {len(children) - SHOWN}" if len(children) > LISTED else ""))
        parts.append(
            html.Details([said, small_table(head, rest, caption=f"{caption}, continued")], className="further")
        )
    return html.Div(parts, className="children")


PANEL = Panel(
    name="splitting-family",
    title="",
    about="latent",
    needs=("features", "splitting"),
    render=render,
)
