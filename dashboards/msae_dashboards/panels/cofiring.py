"""The latents that fire on the same tokens, of any level."""

from __future__ import annotations

from typing import Any

from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.panels.latent import latent_of, linked, ranking
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import share
from msae_dashboards.tables import RunTables

SHOWN = 10


def render(tables: RunTables, address: Address) -> Component:
    """The strongest by correlation of firing (phi)."""
    latent = latent_of(tables, address)
    rows = [(linked(tables, other), f"{row['phi']:.2f}", _said(row)) for other, row in partners(tables, latent)[:SHOWN]]
    return ranking(rows, label="Latents that fire on the same tokens, by correlation")


def partners(tables: RunTables, latent: int) -> list[tuple[int, dict[str, Any]]]:
    """Every latent of the table of pairs that fires with `latent`, and the pair's row, the highest phi first."""
    rows = tables.where("pairs", latent, "a", "b")
    found = [(row["b"] if row["a"] == latent else row["a"], row) for row in rows]
    return sorted(found, key=lambda pair: -pair[1]["phi"])


def _said(row: dict[str, Any]) -> str:
    return (
        f"together on {row['together']:,} tokens, {row['lift']:.1f} times what chance has; "
        f"P({row['a']} | {row['b']}) {share(row['p_a_given_b'], 1)}, "
        f"P({row['b']} | {row['a']}) {share(row['p_b_given_a'], 1)}"
    )


PANEL = Panel(
    name="cofiring",
    title="Fires together with",
    about="latent",
    needs=("features", "pairs"),
    render=render,
    hint="Pearson's correlation of firing (phi), over all tokens of the sample",
)
