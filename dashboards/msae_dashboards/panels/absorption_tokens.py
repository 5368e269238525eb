"""A pair: the tokens where the parent should fire and does not, and the child does, with both along the passage."""

from __future__ import annotations

from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from msae_dashboards.address import Address, tree_href
from msae_dashboards.panels.absorption_pairs import tested
from msae_dashboards.panels.examples import controls
from msae_dashboards.panels.latent import introduced, latent_of
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import figures, number, share, token_strip
from msae_dashboards.tables import RunTables
from msae_dashboards.visible import visible


def render(tables: RunTables, address: Address) -> Component:
    """Both latents, the rate beside that of chance, and the tokens. Without a child in the address: the parent's most
    absorbing one."""
    parent = latent_of(tables, address)
    pair = pair_of(tables, parent, address.whole("child"))
    if pair is None:
        return html.P(
            "This pair was not tested: it is no candidate, or one of the two fires too rarely.", className="note"
        )
    child = pair["child"]
    rows = [row for row in tables.rows("absorption_tokens", parent, "parent") if row["child"] == child]
    heads = html.Div(
        [
            html.Div([html.H3("Parent: silent, though it would be needed"), introduced(tables, parent)]),
            html.Div([html.H3("Child: fires in its place"), introduced(tables, child)]),
        ],
        className="pair",
    )
    features = tables.features()
    largest = {"child": features.max[child], "parent": features.max[parent]}
    shown = [_example(row, largest) for row in rows]
    if not shown:
        shown = [html.P(f"Not one of {pair['tested']:,} tokens tested is absorbed.", className="note")]
    return html.Div(
        [
            heads,
            figures(_headlines(pair)),
            html.Div([html.H3(_title(rows, pair)), controls(), *shown], className="examples"),
        ]
    )


def pair_of(tables: RunTables, parent: int, child: int | None) -> dict[str, Any] | None:
    """The row of table ``absorption`` of a pair, or of the parent's most absorbing child; None if none was tested."""
    pairs = tested(tables)
    mine = pairs["parent"].to_numpy() == parent
    if child is not None:
        mine &= pairs["child"].to_numpy() == child
    rows = pairs.filter(mine)
    return rows.slice(0, 1).to_pylist()[0] if rows.num_rows else None


def _headlines(pair: dict[str, Any]) -> list[tuple[str, Any, str]]:
    edge = dcc.Link("yes", href=tree_href(pair["parent"]), className="opens") if pair["is_edge"] else "no"
    rate = [share(pair["rate"], 1), html.Span(f" ± {100 * (pair['rate_error'] or 0):.1f}", className="spread")]
    return [
        ("rate", rate, "Absorbed tokens / tokens on which the child fires; ± binomial standard error"),
        (
            "by chance",
            share(pair["null_rate"], 1),
            "The same for other latents turned to the same cosine with the child",
        ),
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


def _example(row: dict[str, Any], largest: dict[str, float]) -> Component:
    lines = []
    for who, said in (
        ("child", number(row["child_value"], 1)),
        ("parent", f"0, needs {number(row['parent_needed'], 1)}"),
    ):
        strip = token_strip(
            row["context_tokens"],
            row["context_ids"],
            row[f"context_{who}"],
            position=row["position"],
            largest=largest[who],
        )
        lines.append(html.Div([html.Span([html.B(who), " ", said], className="who"), strip], className="line"))
    where = f"{row['document']}, token {row['offset']:,}"
    needs = (
        f"Without the child, what is left of the activation projects {number(row['parent_needed'], 1)} on the parent's "
        f"direction; the parent usually fires with {number(row['parent_p10'], 1)} or more (10th percentile). "
    )
    return html.Div(lines, className="absorbed", title=needs + visible(where))


PANEL = Panel(
    name="absorption-tokens",
    title="",
    about="latent",
    needs=("features", "absorption", "absorption_tokens"),
    render=render,
)
