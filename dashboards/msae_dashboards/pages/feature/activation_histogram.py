"""How strongly a latent fires where it does."""

from __future__ import annotations

from msae_dashboards.pages.latents import latent_of
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number
from msae_dashboards.view.nodes import Content, Histogram, Paragraph


def render(visit: Visit) -> Content:
    """A histogram of the nonzero activations, from 0 to the largest."""
    rows = visit.tables.rows("histograms", latent_of(visit))
    if not rows:
        return Paragraph("It never fires on the sample.", "note")
    counts, largest = rows[0]["counts"], rows[0]["max"]
    label = f"Histogram of {sum(counts):,} nonzero activations, the largest {number(largest, 2)}"
    return Histogram(counts, 0.0, largest, "tokens", label, axis="activation")


PANEL = Panel(
    name="activation-histogram",
    title="Activations",
    about="latent",
    needs=("features", "histograms"),
    render=render,
    hint="Nonzero activations over the whole sample, in equally wide bins",
)
