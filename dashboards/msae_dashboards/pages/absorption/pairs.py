"""The pairs to pick from: a parent, and a child that fires in its place; the most absorbing first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from msae.analysis.tables import Status
from msae_dashboards.address import absorption_href
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.latents import kept_level, linked
from msae_dashboards.pages.navigation import level_choices, page_of, pager
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import share
from msae_dashboards.view.nodes import Content, Meter, Paragraph, Pick, Picks, Stack, Text

SHOWN = 20


def render(visit: Visit) -> Content:
    """A list that keeps to a level of the parents, which the URL says; the page of it on which the pair stands."""
    tables, level = visit.tables, kept_level(visit)
    chosen, text = (visit.address.latent, visit.address.whole("child")), "" if level is None else str(level)
    found = tested(tables).take(kept(visit))
    place = _place(found, chosen)
    page = page_of(first_on_page(visit, len(found)) if place is None else place, SHOWN)
    rows = found.slice((page - 1) * SHOWN, SHOWN).to_pylist()
    picks = [_pick(tables, row, (row["parent"], row["child"]) == chosen, text) for row in rows]
    levels = sorted(set(tested(tables)["parent_level"].to_pylist()))
    return [
        level_choices(levels, level, lambda text: absorption_href(level=text), label="Level of the parents"),
        Picks(picks) if picks else Paragraph("none that could be tested", "note"),
        pager(page, SHOWN, len(found), lambda n: absorption_href(level=text, page=str(n) if n > 1 else "")),
    ]


def first_on_page(visit: Visit, n: int) -> int:
    """The place of the first pair on the page of the list that an address names, of `n` pairs."""
    page = min(max(visit.address.whole("page") or 1, 1), page_of(max(n - 1, 0), SHOWN))
    return (page - 1) * SHOWN


def _place(found: pa.Table, pair: tuple[int | None, int | None]) -> int | None:
    parents, children = (found[name].to_numpy() for name in ("parent", "child"))
    if pair[0] is None or pair[1] is None:
        return None
    places = np.flatnonzero((parents == pair[0]) & (children == pair[1]))
    return int(places[0]) if len(places) else None


def tested(tables: RunTables) -> pa.Table:
    """The rows of table ``absorption`` with a rate, the largest first."""
    return tables.made(
        "absorption", "tested", lambda t: t.filter(pa.compute.equal(t["status"].cast(pa.string()), Status.OK))
    )


def kept(visit: Visit) -> np.ndarray:
    """Places in `tested` of the pairs whose parent is of the level kept to."""
    level, pairs = kept_level(visit), tested(visit.tables)
    return np.arange(len(pairs)) if level is None else np.flatnonzero(pairs["parent_level"].to_numpy() == level)


def _pick(tables: RunTables, row: dict[str, Any], here: bool, level: str) -> Pick:
    href = absorption_href(row["parent"], row["child"], level=level)
    child = Stack([Text("↳", "value"), linked(tables, row["child"], href=href)], "row below")
    rate = Meter(row["rate"], share(row["rate"], 1))
    chance = Text(f"by chance {share(row['null_rate'], 1)}", "value")
    return Pick([linked(tables, row["parent"], href=href), child, Stack([chance, rate], "row")], here)


PANEL = Panel(
    name="absorption-pairs",
    title="Parent and child",
    about="run",
    needs=("features", "absorption"),
    render=render,
    hint="The bar is the rate. Candidates: edges of the tree, and pairs whose directions are nearer than chance has it",
)
