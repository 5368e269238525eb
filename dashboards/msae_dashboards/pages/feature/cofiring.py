"""The latents that fire on the same tokens, of any level."""

from __future__ import annotations

from typing import Any

from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.latents import latent_of, linked
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import share
from msae_dashboards.view.nodes import Content, Ranking

SHOWN = 10


def render(visit: Visit) -> Content:
    """The strongest by correlation of firing (phi)."""
    found = partners(visit.tables, latent_of(visit))[:SHOWN]
    rows = [(linked(visit.tables, other), f"{row['phi']:.2f}", _in_full(row)) for other, row in found]
    return Ranking(rows, "Latents that fire on the same tokens, by correlation", "phi")


def partners(tables: RunTables, latent: int) -> list[tuple[int, dict[str, Any]]]:
    """Every latent of the table of pairs that fires with `latent`, and the pair's row, the highest phi first."""
    rows = tables.where("pairs", latent, "a", "b")
    found = [(row["b"] if row["a"] == latent else row["a"], row) for row in rows]
    return sorted(found, key=lambda pair: -pair[1]["phi"])


def _in_full(row: dict[str, Any]) -> str:
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
