"""How strongly a latent fires where it does."""

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
    """A histogram of the nonzero activations, from 0 to the largest."""
    rows = tables.rows("histograms", latent_of(tables, address))
    if not rows:
        return html.P("It never fires on the sample.", className="note")
    counts, largest = rows[0]["counts"], rows[0]["max"]
    label = f"Histogram of {sum(counts):,} nonzero activations, the largest {number(largest, 2)}"
    return histogram(counts, 0.0, largest, what="activations", label=label)


PANEL = Panel(
    name="activation-histogram",
    title="Activations",
    about="latent",
    needs=("features", "histograms"),
    render=render,
    hint="Nonzero activations over the whole sample, in equally wide bins",
)
