"""All parents of a latent, with every figure of their edges: the tree is a DAG."""

from __future__ import annotations

from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from msae_dashboards.address import Address, tree_href
from msae_dashboards.panels.latent import latent_of, linked
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import meter, number, share
from msae_dashboards.tables import RunTables

SHOWN = 40


def render(tables: RunTables, address: Address) -> Component:
    """One block a parent, the strongest edge first."""
    latent = latent_of(tables, address)
    rows = tables.where("tree", latent, "child")
    if not rows:
        return html.P("none: it is a root, or fires too rarely to be tested", className="note")
    near = {edge.parent for edge in tables.branches().nearest[latent]}
    more = [html.P(f"and {len(rows) - SHOWN} more", className="note")] if len(rows) > SHOWN else []
    return html.Div([*(_parent(tables, row, row["parent"] in near) for row in rows[:SHOWN]), *more])


def _parent(tables: RunTables, row: dict[str, Any], nearest: bool) -> Component:
    values = [
        ("P(parent | child)", share(row["p_parent_given_child"], 1)),
        ("P(child | parent)", share(row["p_child_given_parent"], 1)),
        ("together on", f"{row['together']:,} tokens"),
        ("lift", f"{number(row['lift'], 1)} ×"),
        ("decoder cosine", number(row["decoder_cosine"], 2)),
        ("activation cosine", number(row["activation_cosine"], 2)),
        ("gain", "n/a" if row["gain"] is None else share(row["gain"], 0)),
    ]
    terms = [part for name, value in values for part in (html.Dt(name), html.Dd(value))]
    branch = dcc.Link("branch" if nearest else "a parent's parent", href=tree_href(row["parent"]), className="opens")
    strength = meter(row["strength"], f"{row['strength']:.2f}", "strength: P(parent | child) − P(parent | no child)")
    return html.Div(
        [
            html.Div([linked(tables, row["parent"]), branch, strength], className="row"),
            html.Dl(terms, className="terms"),
        ],
        className="parent",
    )


PANEL = Panel(
    name="tree-parents",
    title="Parents",
    about="latent",
    needs=("features", "tree"),
    render=render,
    hint="Every parent: latents of earlier levels without which this one hardly ever fires",
)
