"""Nest: one text, read at every level. The first page of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msae.analysis.levels.nest import NEST
from msae_dashboards.address import Address
from msae_dashboards.data.tables import MissingTableError
from msae_dashboards.pages.nest import doors, text
from msae_dashboards.pages.overview.page import PAGE as OVERVIEW
from msae_dashboards.pages.page import Page
from msae_dashboards.pages.panel import Visit
from msae_dashboards.view.nodes import Body, Content, Link, Notice, Paragraph, Stack

PANELS = (doors.PANEL, text.PANEL)
INTRODUCTION = (
    "The small levels of a nested SAE learn broad features, the larger ones add detail. Here is one text as every "
    "level reads it."
)
NO_TEXT = "These activations have no text to read. What each level is worth stands in "
WITHOUT_TEXT = "The small levels of a nested SAE learn broad features, the larger ones add detail."


def body(visit: Visit) -> Body:
    """What this is, the doors, and a text; of a run on activations without text, where its levels are."""
    tables = visit.tables
    has_text = tables.has(NEST.name) or tables.source["kind"] == "transformer_lens"
    parts: list[Content] = [
        Paragraph(INTRODUCTION if has_text else WITHOUT_TEXT, "nest-intro"),
        *visit.show(doors.PANEL, *([text.PANEL] if has_text else [])),
        None if has_text else Notice([NO_TEXT, Link("the overview", OVERVIEW.href), "."]),
    ]
    return Body("Nest", Stack(parts, "column"), name=tables.title)


def states(visit: Visit, latents: Sequence[int]) -> Iterable[Address]:
    """The other texts."""
    try:
        for place in range(1, text.n_texts(visit.tables)):
            yield Address(query={"text": str(place + 1)})
    except MissingTableError:
        return


PAGE = Page(name="", title="Nest", panels=PANELS, body=body, states=states)
