"""How near the latents of one side come to those of the other, in direction and in firing, beside chance."""

from __future__ import annotations

import numpy as np
from dash import html
from dash.development.base_component import Component

from msae.analysis.hierarchy.matching import BY_BOTH, BY_COSINE, BY_FIRING
from msae.plots.comparison import nearness_figure
from msae_dashboards.address import Address
from msae_dashboards.panels.compared import NO_MATCH, Compared
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import figure
from msae_dashboards.tables import RunTables

MOST = 400
KINDS = {BY_BOTH: "matched by both", BY_COSINE: "by direction", BY_FIRING: "by co-firing", NO_MATCH: "not matched"}


def render(tables: RunTables, address: Address) -> Component:
    """One point a latent of side a: its nearest direction in side b, or what it is matched with."""
    compared = Compared.of(tables, address)
    pairs = compared.pairs(tables)
    matched = np.array(pairs["matched"].to_pylist(), dtype=object)
    kept = np.flatnonzero(pairs["nearest_of_a"].to_numpy() | (matched != NO_MATCH))
    if len(kept) == 0:
        return html.P("No latent of one side comes near one of the other.", className="note")
    counts = {name: int((matched[kept] == kind).sum()) for kind, name in KINDS.items()}
    drawn = kept[:: -(-len(kept) // MOST)]
    columns = {name: pairs[name].to_numpy()[drawn] for name in ("cosine", "phi", "latent_a", "latent_b")}
    points = {name: np.flatnonzero(matched[drawn] == kind) for kind, name in KINDS.items()}
    chance = compared.chance(tables)
    plot = nearness_figure(columns, points, least_cosine=chance["least_cosine"], least_phi=chance["least_phi"])
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    more = [html.P(f"{len(drawn):,} of {len(kept):,} are drawn.", className="note")] if len(drawn) < len(kept) else []
    return html.Div([figure(plot, label=f"Cosine and phi of nearest pairs: {said}", height=300), *more])


PANEL = Panel(
    name="compare-nearness",
    title="How near",
    about="run",
    needs=("features", "level_pairs", "level_overlap"),
    render=render,
    hint="Dotted: the 99.9th percentiles of the nulls",
)
