"""The pairs to pick from: a parent, and a child that fires in its place; the most absorbing first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from msae.analysis.tables import Status
from msae_dashboards.address import absorption_href
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.latents import kept_level, linked
from msae_dashboards.pages.navigation import level_choices
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import share
from msae_dashboards.view.nodes import Content, Meter, Paragraph, Pick, Picks, Stack, Text

SHOWN = 20


def render(visit: Visit) -> Content:
    """A list that keeps to a level of the parents, which the URL says."""
    tables, level = visit.tables, kept_level(visit)
    chosen, text = (visit.address.latent, visit.address.whole("child")), "" if level is None else str(level)
    pairs, found = tested(tables), kept(visit)
    rows = pairs.take(found[:SHOWN]).to_pylist()
    picks = [_pick(tables, row, (row["parent"], row["child"]) == chosen, text) for row in rows]
    levels = sorted(set(pairs["parent_level"].to_pylist()))
    return [
        level_choices(levels, level, lambda text: absorption_href(level=text), label="Level of the parents"),
        Picks(picks) if picks else Paragraph("none that could be tested", "note"),
        Paragraph(f"and {len(found) - SHOWN:,} more", "note") if len(found) > SHOWN else None,
    ]


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
