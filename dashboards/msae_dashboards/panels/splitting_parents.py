"""The parents to pick from, ranked by how they split."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from dash import html
from dash.development.base_component import Component
from jaxtyping import Int

from msae.analysis.hierarchy.splitting import ALL_LATER
from msae_dashboards.address import Address, splitting_href
from msae_dashboards.panels.latent import kept_level, linked
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import meter, share
from msae_dashboards.tables import RunTables
from msae_dashboards.ways import level_steps, steps

SHOWN = 24
ORDERS = {
    "": ("effective children", "entropy"),
    "children": ("children", "n_children"),
    "coverage": ("coverage", "coverage"),
}
"""What the list is ranked by, as the URL has it: its name, and the column."""


def render(tables: RunTables, address: Address) -> Component:
    """A list that keeps to a level and has an order, both in the URL."""
    level, order = kept_level(tables, address), order_of(address)
    kept = {"level": "" if level is None else str(level), "sort": order}
    table = all_later(tables)
    levels = sorted(set(table["parent_level"].to_pylist()))
    found = ranked(tables, address)
    rows = table.take(found[:SHOWN]).to_pylist()
    items = [_item(tables, row, row["parent"] == address.latent, kept) for row in rows]
    more = [html.P(f"and {len(found) - SHOWN:,} more", className="note")] if len(found) > SHOWN else []
    choices = [
        (label, splitting_href(address.latent, **{**kept, "sort": name}), name == order)
        for name, (label, _) in ORDERS.items()
    ]
    return html.Div(
        [
            level_steps(levels, level, lambda text: splitting_href(None, **{**kept, "level": text}), label="Level"),
            steps(choices, label="Order"),
            html.Ol(items, className="picks") if items else html.P("none", className="note"),
            *more,
        ]
    )


def all_later(tables: RunTables) -> pa.Table:
    """The rows of table ``splitting`` that count children of every later level."""
    return tables.made(
        "splitting", "all-later", lambda t: t.take(np.flatnonzero(t["child_level"].to_numpy() == ALL_LATER))
    )


def order_of(address: Address) -> str:
    """What the parents are ranked by: a key of `ORDERS`."""
    asked = address.query.get("sort", "")
    return asked if asked in ORDERS else ""


def ranked(tables: RunTables, address: Address) -> Int[np.ndarray, " parents"]:
    """Places in `all_later` of the parents of the level kept to, in the order asked for."""
    table, level = all_later(tables), kept_level(tables, address)
    _, column = ORDERS[order_of(address)]
    order = np.lexsort((table["parent"].to_numpy(), -table[column].to_numpy().astype(float)))
    return order if level is None else order[table["parent_level"].to_numpy()[order] == level]


def _item(tables: RunTables, row: dict, here: bool, kept: dict[str, str]) -> Component:
    n = row["n_children"]
    said = f"{n:,} {'child' if n == 1 else 'children'}, {2 ** row['entropy']:.1f} effective"
    coverage = meter(row["coverage"], share(row["coverage"], 0))
    return html.Li(
        [
            linked(tables, row["parent"], href=splitting_href(row["parent"], **kept)),
            html.Span([html.Span(said, className="value"), coverage], className="row"),
        ],
        className="on" if here else None,
    )


PANEL = Panel(
    name="splitting-parents",
    title="Parents",
    about="run",
    needs=("features", "splitting"),
    render=render,
    hint="Effective children: 2 to the entropy of the children's shares. The bar is coverage",
)
