"""How the run trained."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from msae.plots.training import training_figure
from msae_dashboards.address import Address
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import figure, number
from msae_dashboards.tables import RunTables


def render(tables: RunTables, address: Address) -> Component:
    """FVU of every level and dead latents, against tokens seen."""
    metrics = tables.metrics()
    if not metrics:
        return html.P("Nothing has been logged yet.", className="note")
    last = metrics[-1]
    fvu = "; ".join(f"level {level}: FVU {number(value)}" for level, value in enumerate(last["fvu"]))
    label = f"Training curves, ending after {last['tokens']:,} tokens at {fvu}"
    return figure(training_figure(metrics), label=label, height=300)


PANEL = Panel(name="training-curves", title="Training", about="run", needs=("metrics",), render=render)
