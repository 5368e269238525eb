"""How a latent's direct logits are spread over the vocabulary."""

from __future__ import annotations

from msae_dashboards.pages.latents import latent_of
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number
from msae_dashboards.view.nodes import Content, Histogram, Paragraph


def render(visit: Visit) -> Content:
    """A histogram over the whole vocabulary, negative logits in another colour."""
    rows = visit.tables.rows("logit_histograms", latent_of(visit))
    if not rows:
        return Paragraph("none", "note")
    low, high, counts = rows[0]["low"], rows[0]["high"], rows[0]["counts"]
    label = f"Histogram of {sum(counts):,} logits from {number(low, 2)} to {number(high, 2)}"
    return Histogram(counts, low, high, "tokens", label, signed=True, axis="logit")


PANEL = Panel(
    name="logit-histogram",
    title="Logit histogram",
    about="latent",
    needs=("features", "logit_histograms"),
    render=render,
    optional=("logit_histograms",),
    hint="Logits of all tokens of the vocabulary, in equally wide bins",
)
