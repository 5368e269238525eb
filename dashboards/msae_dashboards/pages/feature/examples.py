"""Where a latent fires: its strongest activations, then true quantile bands, each with the share it contains."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from msae_dashboards.pages.latents import latent_of
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.pages.passages import BORDERS, strip_of
from msae_dashboards.view.figures import number, share
from msae_dashboards.view.nodes import Content, ContextControls, Example, Heading, Paragraph, Stack


def render(visit: Visit) -> Content:
    """One block a band, the strongest first. Colours are relative to the latent's largest activation."""
    latent, tables = latent_of(visit), visit.tables
    rows = tables.rows("examples", latent)
    if not rows:
        return Paragraph("It never fires on the sample.", "note")
    bounds = {row["band"]: row for row in tables.rows("bands", latent)}
    largest = max(row["high"] for row in bounds.values())
    blocks = [
        Stack([Heading(_title(bounds.get(band))), *(_example(row, largest) for row in group)], "band")
        for band, group in groupby(rows, key=lambda row: row["band"])
    ]
    return [ContextControls(), *blocks]


def _title(band: dict[str, Any] | None) -> str:
    if band is None:
        return "Top activations"
    return f"Interval {number(band['low'], 2)} – {number(band['high'], 2)} (contains {share(band['share'], 1)})"


def _example(row: dict[str, Any], largest: float) -> Example:
    where = f"{row['document']}, token {row['offset']:,} (row {row['row']:,} of the sample)"
    strip = strip_of(row, row["context_values"], largest)
    return Example(number(row["value"], 2), strip, where)


PANEL = Panel(
    name="examples",
    title="Examples",
    about="latent",
    needs=("features", "examples", "bands"),
    render=render,
    hint=f"Hover a token for its activation and id. Bands hold equal numbers of the nonzero activations. {BORDERS}",
)
