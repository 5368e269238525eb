"""How a latent's direct logits are spread over the vocabulary."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.histogram import histogram
from msae_dashboards.panels.latent import latent_of
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import number
from msae_dashboards.tables import RunTables


def render(tables: RunTables, address: Address) -> Component:
    """A histogram over the whole vocabulary, negative logits in another colour."""
    rows = tables.rows("logit_histograms", latent_of(tables, address))
    if not rows:
        return html.P("none", className="note")
    low, high, counts = rows[0]["low"], rows[0]["high"], rows[0]["counts"]
    label = f"Histogram of {sum(counts):,} logits from {number(low, 2)} to {number(high, 2)}"
    return histogram(counts, low, high, what="tokens", label=label, signed=True)


PANEL = Panel(
    name="logit-histogram",
    title="Logit histogram",
    about="latent",
    needs=("features", "logit_histograms"),
    render=render,
    hint="Logits of all tokens of the vocabulary, in equally wide bins",
)
