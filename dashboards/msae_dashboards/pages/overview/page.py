"""The overview of a run: what its levels are worth, how often latents fire, how it trained, what it was made from."""

from __future__ import annotations

from msae_dashboards.data.tables import MissingTableError
from msae_dashboards.pages.overview import density_by_level, fingerprint, level_table, rate_distortion, training_curves
from msae_dashboards.pages.page import Page
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Body, Content, Notice, Stack

PANELS = (
    level_table.PANEL,
    rate_distortion.PANEL,
    density_by_level.PANEL,
    training_curves.PANEL,
    fingerprint.PANEL,
)


def body(visit: Visit) -> Body:
    """Two columns: figures, and next to them what they were made from. Of a run that was not evaluated or analyzed yet
    the figures there are, under one notice that says what makes the others."""
    commands = dict.fromkeys(command for panel in PANELS if (command := _command(visit, panel)))
    there = [panel for panel in PANELS if _command(visit, panel) is None]
    notice = Notice("Not everything about this run has been measured yet. To measure it, run", "\n".join(commands))
    pair = [panel for panel in (rate_distortion.PANEL, density_by_level.PANEL) if panel in there]
    left: list[Content] = [
        notice if commands else None,
        *visit.show(*(panel for panel in (level_table.PANEL,) if panel in there)),
        Stack(visit.show(*pair), "pair") if pair else None,
        *visit.show(*(panel for panel in (training_curves.PANEL,) if panel in there)),
    ]
    columns = Stack([Stack(left, "column"), visit.show(fingerprint.PANEL)], "overview")
    return Body("Run", columns, name=visit.tables.title)


def _command(visit: Visit, panel: Panel) -> str | None:
    """What makes the table that a panel lacks; None where it has all."""
    try:
        visit.tables.require(*panel.needs)
    except MissingTableError as error:
        return error.command
    return None


PAGE = Page(name="run", title="Overview", panels=PANELS, body=body, needs=())
