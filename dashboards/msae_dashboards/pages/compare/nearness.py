"""How near the latents of one side come to those of the other, in direction and in firing, next to chance."""

from __future__ import annotations

import numpy as np

from msae.analysis.hierarchy.matching import BY_BOTH, BY_COSINE, BY_FIRING
from msae.plots.comparison import nearness_figure
from msae_dashboards.pages.compare.compared import NO_MATCH, Compared
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Content, Figure, Paragraph

MOST = 400
KINDS = {BY_BOTH: "matched by both", BY_COSINE: "by direction", BY_FIRING: "by co-firing", NO_MATCH: "not matched"}


def render(visit: Visit) -> Content:
    """One point a latent of side a: its nearest direction in side b, or what it is matched with."""
    compared = Compared.of(visit)
    pairs = compared.pairs(visit.tables)
    matched = np.array(pairs["matched"].to_pylist(), dtype=object)
    kept = np.flatnonzero(pairs["nearest_of_a"].to_numpy() | (matched != NO_MATCH))
    if len(kept) == 0:
        return Paragraph("No latent of one side comes near one of the other.", "note")
    counts = {name: int((matched[kept] == kind).sum()) for kind, name in KINDS.items()}
    drawn = kept[:: -(-len(kept) // MOST)]
    columns = {name: pairs[name].to_numpy()[drawn] for name in ("cosine", "phi", "latent_a", "latent_b")}
    points = {name: np.flatnonzero(matched[drawn] == kind) for kind, name in KINDS.items()}
    chance = compared.chance(visit.tables)
    plot = nearness_figure(columns, points, least_cosine=chance["least_cosine"], least_phi=chance["least_phi"])
    label = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    more = Paragraph(f"{len(drawn):,} of {len(kept):,} are drawn.", "note") if len(drawn) < len(kept) else None
    return [Figure(plot, f"Cosine and phi of nearest pairs: {label}"), more]


PANEL = Panel(
    name="compare-nearness",
    title="How near",
    about="run",
    needs=("features", "level_pairs", "level_overlap"),
    render=render,
    hint="Dotted: the 99.9th percentiles of the nulls",
)
