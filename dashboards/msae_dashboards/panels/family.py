"""A latent's parents and children in the feature tree. All parents are listed: the tree is a DAG."""

from __future__ import annotations

from typing import Any

from dash import html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.panels.latent import latent_of, linked, ranking
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import share
from msae_dashboards.tables import RunTables

SHOWN = 12


def render(tables: RunTables, address: Address) -> Component:
    """Two rankings by the edge's strength."""
    latent = latent_of(tables, address)
    parts = []
    for of, other, title in (("child", "parent", "Parents"), ("parent", "child", "Children")):
        rows = tables.where("tree", latent, of)  # the strongest first
        found = [(linked(tables, row[other]), f"{row['strength']:.2f}", _said(row)) for row in rows[:SHOWN]]
        more = [html.P(f"and {len(rows) - SHOWN} more", className="note")] if len(rows) > SHOWN else []
        parts += [html.H3(f"{title} ({len(rows)})"), ranking(found, label=title), *more]
    return html.Div(parts)


def _said(row: dict[str, Any]) -> str:
    return (
        f"P(parent | child) {share(row['p_parent_given_child'], 1)}, P(child | parent) "
        f"{share(row['p_child_given_parent'], 1)}, together on {row['together']:,} tokens, decoder cosine "
        f"{row['decoder_cosine']:.2f}"
    )


PANEL = Panel(
    name="family",
    title="Parents and children",
    about="latent",
    needs=("features", "tree"),
    render=render,
    hint="Strength: P(parent | child) − P(parent | no child)",
)
