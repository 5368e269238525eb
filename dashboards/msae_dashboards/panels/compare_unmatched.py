"""The latents of either side that have no counterpart in the other, those that fire most first."""

from __future__ import annotations

import numpy as np
from dash import html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.panels.compared import NO_MATCH, Compared
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import Content, number, small_table
from msae_dashboards.tables import RunTables

SHOWN = 14


def render(tables: RunTables, address: Address) -> Component:
    """Two tables: of side a, of side b."""
    compared = Compared.of(tables, address)
    return html.Div([_side(tables, compared, "a"), _side(tables, compared, "b")], className="pair")


def _side(tables: RunTables, compared: Compared, which: str) -> Component:
    side, other = (compared.a, compared.b) if which == "a" else (compared.b, compared.a)
    pairs, latents = compared.pairs(tables), compared.latents(tables, side)
    own = pairs[f"latent_{which}"].to_numpy()
    matched = np.unique(own[np.array(pairs["matched"].to_pylist(), dtype=object) != NO_MATCH])
    alone = np.flatnonzero(~np.isin(latents.number, matched))
    title = html.H3(
        [compared.sides[side].shown, f" {len(alone):,} of {len(latents.number):,} live latents not found in ",
         compared.sides[other].shown]
    )  # fmt: skip
    if len(alone) == 0:
        return html.Div([title, html.P("none", className="note")])
    shown = alone[np.argsort(-latents.n_tokens[alone], kind="stable")][:SHOWN]
    cosine, phi = (
        _largest(
            own[pairs[f"{kind}_of_{which}"].to_numpy()], pairs[value].to_numpy()[pairs[f"{kind}_of_{which}"].to_numpy()]
        )
        for kind, value in (("nearest", "cosine"), ("partner", "phi"))
    )
    rows: list[list[Content]] = [
        [
            compared.named(tables, side, int(latents.number[place]), latents.tokens[place]),
            f"{latents.n_tokens[place]:,}",
            number(cosine.get(int(latents.number[place])), 2),
            number(phi.get(int(latents.number[place])), 2),
        ]
        for place in shown.tolist()
    ]
    head: list[Content] = ["latent", "fires on", html.Abbr("cosine", title="With the nearest of the other side"),
                           html.Abbr("phi", title="With the best partner of the other side")]  # fmt: skip
    return html.Div([title, small_table(head, rows, caption="Latents without a counterpart")])


def _largest(latents: np.ndarray, values: np.ndarray) -> dict[int, float]:
    order = np.argsort(values, kind="stable")
    return dict(zip(latents[order].tolist(), values[order].tolist(), strict=True))


PANEL = Panel(
    name="compare-unmatched",
    title="Not found again",
    about="run",
    needs=("features", "level_pairs", "level_overlap"),
    render=render,
    hint="Those that fire on most tokens first; cosine and phi are those of the nearest of the other side",
)
