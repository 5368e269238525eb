"""What is lost at each level, against what its codes cost."""

from __future__ import annotations

from msae.plots.levels import rate_figure
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Content, Figure


def render(visit: Visit) -> Content:
    """The rate-distortion curve, one point a level."""
    table = visit.tables.levels()
    points = "; ".join(f"level {row.level}: {row.bits:.0f} bits, FVU {row.fvu_quantised:.3f}" for row in table.levels)
    return Figure(rate_figure(table), f"Fraction lost against bits a token. {points}")


PANEL = Panel(
    name="rate-distortion",
    title="Rate and distortion",
    about="run",
    needs=("levels",),
    render=render,
    hint="What is lost at each level against the bits a token its codes cost",
)
