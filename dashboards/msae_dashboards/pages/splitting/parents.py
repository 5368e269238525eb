"""The parents to pick from, ranked by how they split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from msae.analysis.hierarchy.splitting import ALL_LATER
from msae_dashboards.address import Address, splitting_href
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.latents import kept_level, linked
from msae_dashboards.pages.navigation import level_choices, page_of, pager
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import share
from msae_dashboards.view.nodes import Choice, Choices, Content, Meter, Pick, Picks, Stack, Text

SHOWN = 24
ORDERS = {
    "": ("effective children", "entropy"),
    "children": ("children", "n_children"),
    "coverage": ("coverage", "coverage"),
}
"""What the list is ranked by, as the URL has it: its name, and the column."""


def render(visit: Visit) -> Content:
    """A list that keeps to a level and has an order, both in the URL; the page of it on which the parent stands."""
    level, order, latent = kept_level(visit), order_of(visit.address), visit.address.latent
    kept = {"level": "" if level is None else str(level), "sort": order}
    table = all_later(visit.tables)
    levels = sorted(set(table["parent_level"].to_pylist()))
    found = table.take(ranked(visit))
    places = np.flatnonzero(found["parent"].to_numpy() == (-1 if latent is None else latent))
    page = page_of(int(places[0]) if len(places) else first_on_page(visit, len(found)), SHOWN)
    rows = found.slice((page - 1) * SHOWN, SHOWN).to_pylist()
    orders = [
        Choice(label, splitting_href(latent, **{**kept, "sort": name}), name == order)
        for name, (label, _) in ORDERS.items()
    ]
    return [
        level_choices(levels, level, lambda text: splitting_href(None, **{**kept, "level": text}), label="Level"),
        Choices(orders, "Order"),
        Picks([_pick(visit.tables, row, row["parent"] == latent, kept) for row in rows]),
        pager(page, SHOWN, len(found), lambda n: splitting_href(None, **kept, page=str(n) if n > 1 else "")),
    ]


def first_on_page(visit: Visit, n: int) -> int:
    """The place of the first parent on the page of the list that an address names, of `n` parents."""
    page = min(max(visit.address.whole("page") or 1, 1), page_of(max(n - 1, 0), SHOWN))
    return (page - 1) * SHOWN


def all_later(tables: RunTables) -> pa.Table:
    """The rows of table ``splitting`` that count children of every later level."""
    return tables.made(
        "splitting", "all-later", lambda t: t.take(np.flatnonzero(t["child_level"].to_numpy() == ALL_LATER))
    )


def order_of(address: Address) -> str:
    """What the parents are ranked by: a key of `ORDERS`."""
    requested = address.query.get("sort", "")
    return requested if requested in ORDERS else ""


def ranked(visit: Visit) -> Int[np.ndarray, " parents"]:
    """Places in `all_later` of the parents of the level kept to, in the requested order."""
    table, level = all_later(visit.tables), kept_level(visit)
    _, column = ORDERS[order_of(visit.address)]
    order = np.lexsort((table["parent"].to_numpy(), -table[column].to_numpy().astype(float)))
    return order if level is None else order[table["parent_level"].to_numpy()[order] == level]


def _pick(tables: RunTables, row: dict[str, Any], here: bool, kept: dict[str, str]) -> Pick:
    n = row["n_children"]
    summary = f"{n:,} {'child' if n == 1 else 'children'}, {2 ** row['entropy']:.1f} effective"
    coverage = Meter(row["coverage"], share(row["coverage"], 0))
    link = linked(tables, row["parent"], href=splitting_href(row["parent"], **kept))
    return Pick([link, Stack([Text(summary, "value"), coverage], "row")], here)


PANEL = Panel(
    name="splitting-parents",
    title="Parents",
    about="run",
    needs=("features", "splitting"),
    render=render,
    hint="Effective children: 2 to the entropy of the children's shares. The bar is coverage",
)
