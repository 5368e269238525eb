"""How one parent's tokens are shared out among its children."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from msae.analysis.hierarchy.splitting import ALL_LATER
from msae_dashboards.address import feature_href, tree_href
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.latents import introduced, latent_of, linked
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number, share
from msae_dashboards.view.nodes import (
    Content,
    Figures,
    Fold,
    Head,
    LevelChip,
    Link,
    Meter,
    Paragraph,
    Partition,
    Segment,
    Stack,
    Table,
    Text,
)
from msae_dashboards.view.visible import quoted

SHOWN, SEGMENTS, LISTED = 6, 40, 400


def render(visit: Visit) -> Content:
    """The parent, headline figures, the partition as a bar, the children with their shares."""
    latent, tables = latent_of(visit), visit.tables
    row = family_of(tables, latent)
    links = [
        Link("feature page", feature_href(latent), "opens"),
        Link("branch of the tree", tree_href(latent), "opens"),
    ]
    head = Stack([introduced(tables, latent), Stack(links, "row")], "introduction")
    if row is None:
        return [head, Paragraph("It has no children: there is nothing it splits into.", "note")]
    children = by_share(row)
    return [head, Figures(_headlines(tables, row)), shared_out(tables, row, children), *_tables(tables, row, children)]


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
    counted = [part for level in sorted(levels) for part in (f" {levels[level]} ", LevelChip(level))]
    return [
        ("fires on", f"{row['n_parent']:,} tokens", ""),
        ("children", Text([f"{row['n_children']:,}:", *counted], "counted"), "Edges of the tree"),
        (
            "effective children",
            f"{2 ** row['entropy']:.1f}",
            f"2 to the entropy of their shares, {number(row['entropy'], 2)} bits",
        ),
        ("coverage", share(row["coverage"], 1), "Share of the parent's tokens on which a child fires"),
        ("by chance", share(row["null_coverage"], 1), "Coverage with every latent's codes shifted within documents"),
        ("overlap", number(row["overlap"], 2), "Further children that fire where one does, on average"),
    ]


def shared_out(tables: RunTables, row: dict[str, Any], children: list[tuple[int, float]]) -> Partition:
    """The parent's tokens as a bar, shared out among its children; the part that no child covers is hatched."""
    features = tables.features()
    parts = [(latent, row["coverage"] * part) for latent, part in children[:SEGMENTS] if part > 0]
    named = {latent: " ".join(map(quoted, features.top_tokens[latent][:1])) or str(latent) for latent, _ in parts}
    segments = [
        Segment(
            named[latent],
            part,
            f"{latent} {named[latent]}: {share(part, 1)} of the parent's tokens",
            int(features.level[latent]),
        )
        for latent, part in parts
    ]
    rest = 1 - row["coverage"]
    segments.append(Segment("no child", rest, f"no child fires on {share(rest, 1)} of the parent's tokens", None))
    first = "; ".join(f"{named[latent]} {share(part, 0)}" for latent, part in parts[:6])
    return Partition(segments, f"The parent's tokens: {first}; no child {share(rest, 0)}")


def _tables(tables: RunTables, row: dict[str, Any], children: list[tuple[int, float]]) -> list[Content]:
    found = tables.where("tree", row["parent"], "parent") if tables.has("tree") else []
    own = {edge["child"]: edge for edge in found}
    heads = ["child", "share of covered tokens", "P(child | parent)", "P(parent | child)", "strength"]
    columns = [Head(name) for name in heads]
    body: list[list[Content]] = []
    for latent, part in children[:LISTED]:
        edge = own.get(latent, {})
        body.append(
            [
                linked(tables, latent),
                Meter(part, share(part, 1)),
                share(edge.get("p_child_given_parent", float("nan")), 1),
                share(edge.get("p_parent_given_child", float("nan")), 1),
                number(edge.get("strength"), 2),
            ]
        )
    caption = f"Children of {row['parent']}, the largest share first"
    parts: list[Content] = [Table(caption, columns, body[:SHOWN])]
    if rest := body[SHOWN:]:
        summary = f"{len(rest)} more" + (f" of {len(children) - SHOWN}" if len(children) > LISTED else "")
        parts.append(Fold(summary, Table(f"{caption}, continued", columns, rest)))
    return parts


PANEL = Panel(
    name="splitting-family",
    title="",
    about="latent",
    needs=("features", "splitting"),
    render=render,
)
