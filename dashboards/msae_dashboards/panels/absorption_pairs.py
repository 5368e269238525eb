"""The pairs to pick from: a parent, and a child that fires in its place; the most absorbing first."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from dash import html
from dash.development.base_component import Component

from msae.analysis.tables import Status
from msae_dashboards.address import Address, absorption_href
from msae_dashboards.panels.latent import kept_level, linked
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import meter, share
from msae_dashboards.tables import RunTables
from msae_dashboards.ways import level_steps

SHOWN = 20


def render(tables: RunTables, address: Address) -> Component:
    """A list that keeps to a level of the parents, which the URL says."""
    level, child = kept_level(tables, address), address.whole("child")
    text = "" if level is None else str(level)
    pairs = tested(tables)
    found = kept(tables, address)
    items = [
        _item(tables, row, (row["parent"], row["child"]) == (address.latent, child), text)
        for row in pairs.take(found[:SHOWN]).to_pylist()
    ]
    levels = sorted(set(pairs["parent_level"].to_pylist()))
    more = [html.P(f"and {len(found) - SHOWN:,} more", className="note")] if len(found) > SHOWN else []
    return html.Div(
        [
            level_steps(levels, level, lambda text: absorption_href(level=text), label="Level of the parents"),
            html.Ol(items, className="picks") if items else html.P("none that could be tested", className="note"),
            *more,
        ]
    )


def tested(tables: RunTables) -> pa.Table:
    """The rows of table ``absorption`` with a rate, the largest first."""
    return tables.made(
        "absorption", "tested", lambda t: t.filter(pa.compute.equal(t["status"].cast(pa.string()), Status.OK))
    )


def kept(tables: RunTables, address: Address) -> np.ndarray:
    """Places in `tested` of the pairs whose parent is of the level kept to."""
    level, pairs = kept_level(tables, address), tested(tables)
    return np.arange(len(pairs)) if level is None else np.flatnonzero(pairs["parent_level"].to_numpy() == level)


def _item(tables: RunTables, row: dict, here: bool, level: str) -> Component:
    href = absorption_href(row["parent"], row["child"], level=level)
    rate = meter(row["rate"], share(row["rate"], 1))
    return html.Li(
        [
            linked(tables, row["parent"], href=href),
            html.Div(
                [html.Span("↳", className="value"), linked(tables, row["child"], href=href)], className="row below"
            ),
            html.Div([html.Span(f"by chance {share(row['null_rate'], 1)}", className="value"), rate], className="row"),
        ],
        className="on" if here else None,
    )


PANEL = Panel(
    name="absorption-pairs",
    title="Parent and child",
    about="run",
    needs=("features", "absorption"),
    render=render,
    hint="The bar is the rate. Candidates: edges of the tree, and pairs whose directions are nearer than chance has it",
)
