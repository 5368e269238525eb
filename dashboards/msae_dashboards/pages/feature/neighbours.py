"""The nearest decoder directions: in the latent's own level, and in the others."""

from __future__ import annotations

from msae_dashboards.pages.latents import latent_of, linked
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Content, Heading, Ranking


def render(visit: Visit) -> Content:
    """Two rankings by cosine."""
    rows = visit.tables.rows("neighbours", latent_of(visit))
    parts: list[Content] = []
    for same, title in ((True, "in the same level"), (False, "in other levels")):
        found = [
            (linked(visit.tables, row["neighbour"]), f"{row['cosine']:.3f}", f"cosine {row['cosine']:.5f}")
            for row in rows
            if row["same_level"] is same
        ]
        parts += [Heading(title), Ranking(found, f"Nearest directions {title}", "cosine")]
    return parts


PANEL = Panel(
    name="neighbours",
    title="Nearest directions",
    about="latent",
    needs=("features", "neighbours"),
    render=render,
    hint="Cosine of the decoder directions",
)
