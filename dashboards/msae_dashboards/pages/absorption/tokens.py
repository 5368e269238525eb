"""A pair: the tokens where the parent should fire and does not, and the child does, with both along the passage."""

from __future__ import annotations

from typing import Any

from msae_dashboards.address import tree_href
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.absorption.pairs import tested
from msae_dashboards.pages.latents import introduced, latent_of
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.pages.passages import strip_of
from msae_dashboards.view.figures import number, share
from msae_dashboards.view.nodes import (
    Content,
    ContextControls,
    Figures,
    Heading,
    Lines,
    Link,
    Paragraph,
    Stack,
    Text,
)


def render(visit: Visit) -> Content:
    """Both latents, the rate next to that of chance, and the tokens. Without a child in the address: the parent's most
    absorbing one."""
    parent, tables = latent_of(visit), visit.tables
    pair = pair_of(tables, parent, visit.address.whole("child"))
    if pair is None:
        text = "This pair was not tested: it is no candidate, or one of the two fires too rarely."
        return Paragraph(text, "note")
    child = pair["child"]
    rows = [row for row in tables.rows("absorption_tokens", parent, "parent") if row["child"] == child]
    heads = [
        Stack([Heading("Parent: silent, though it would be needed"), introduced(tables, parent)]),
        Stack([Heading("Child: fires in its place"), introduced(tables, child)]),
    ]
    features = tables.features()
    largest = {"child": features.max[child], "parent": features.max[parent]}
    shown: list[Content] = [_example(row, largest) for row in rows]
    if not shown:
        shown = [Paragraph(f"Not one of {pair['tested']:,} tokens tested is absorbed.", "note")]
    examples = Stack([Heading(_title(rows, pair)), ContextControls(), *shown], "examples")
    return [Stack(heads, "pair"), Figures(_headlines(pair)), examples]


def pair_of(tables: RunTables, parent: int, child: int | None) -> dict[str, Any] | None:
    """The row of table ``absorption`` of a pair, or of the parent's most absorbing child; None if none was tested."""
    pairs = tested(tables)
    mine = pairs["parent"].to_numpy() == parent
    if child is not None:
        mine &= pairs["child"].to_numpy() == child
    rows = pairs.filter(mine)
    return rows.slice(0, 1).to_pylist()[0] if rows.num_rows else None


def _headlines(pair: dict[str, Any]) -> list[tuple[str, Content, str]]:
    edge: Content = Link("yes", tree_href(pair["parent"]), "opens") if pair["is_edge"] else "no"
    rate: list[Content] = [share(pair["rate"], 1), Text(f" ± {100 * (pair['rate_error'] or 0):.1f}", "spread")]
    return [
        ("rate", rate, "Absorbed tokens / tokens on which the child fires; ± binomial standard error"),
        ("by chance", share(pair["null_rate"], 1), "The same for latents turned to that cosine with the child"),
        ("absorbed", f"{pair['absorbed']:,} of {pair['tested']:,}", "Of the tokens tested: child fires, parent silent"),
        ("child fires on", f"{pair['n_child']:,}", "Tokens"),
        ("with the parent on", f"{pair['together']:,}", "Tokens on which both fire"),
        ("cosine", number(pair["cosine"], 2), "Of the decoder directions"),
        ("edge of the tree", edge, "Whether the child hardly ever fires without the parent"),
    ]


def _title(rows: list[dict[str, Any]], pair: dict[str, Any]) -> str:
    if len(rows) < pair["absorbed"]:
        return f"The {len(rows)} absorbed tokens on which the parent would be needed most"
    return "Absorbed tokens"


def _example(row: dict[str, Any], largest: dict[str, float]) -> Lines:
    lines = [
        (who, does, strip_of(row, row[f"context_{who}"], largest[who]))
        for who, does in (
            ("child", number(row["child_value"], 1)),
            ("parent", f"0, needs {number(row['parent_needed'], 1)}"),
        )
    ]
    needs = (
        f"Without the child, what is left of the activation projects {number(row['parent_needed'], 1)} on the parent's "
        f"direction; the parent usually fires with {number(row['parent_p10'], 1)} or more (10th percentile). "
    )
    return Lines(lines, needs + f"{row['document']}, token {row['offset']:,}")


PANEL = Panel(
    name="absorption-tokens",
    title="",
    about="latent",
    needs=("features", "absorption", "absorption_tokens"),
    render=render,
)
