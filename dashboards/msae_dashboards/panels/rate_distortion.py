"""What is lost at each level, against what its codes cost."""

from __future__ import annotations

from dash.development.base_component import Component

from msae.plots.levels import rate_figure
from msae_dashboards.address import Address
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import figure
from msae_dashboards.tables import RunTables


def render(tables: RunTables, address: Address) -> Component:
    """The rate-distortion curve, one point a level."""
    table = tables.levels()
    points = "; ".join(f"level {row.level}: {row.bits:.0f} bits, FVU {row.fvu_quantised:.3f}" for row in table.levels)
    return figure(rate_figure(table), label=f"Fraction lost against bits a token. {points}", height=300)


PANEL = Panel(
    name="rate-distortion",
    title="Rate and distortion",
    about="run",
    needs=("levels",),
    render=render,
    hint="What is lost at each level against the bits a token its codes cost",
)
