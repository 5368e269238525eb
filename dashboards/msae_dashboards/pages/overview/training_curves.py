"""How the run trained."""

from __future__ import annotations

from msae.plots.training import training_figure
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number
from msae_dashboards.view.nodes import Content, Figure, Paragraph


def render(visit: Visit) -> Content:
    """FVU of every level and dead latents, against tokens seen."""
    metrics = visit.tables.metrics()
    if not metrics:
        return Paragraph("Nothing has been logged yet.", "note")
    last = metrics[-1]
    fvu = "; ".join(f"level {level}: FVU {number(value)}" for level, value in enumerate(last["fvu"]))
    label = f"Training curves, ending after {last['tokens']:,} tokens at {fvu}"
    return Figure(training_figure(metrics), label)


PANEL = Panel(name="training-curves", title="Training", about="run", needs=("metrics",), render=render)
