"""What a panel is: a title, the tables it needs, and a function from a visit to nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from msae_dashboards.address import Address
from msae_dashboards.data.tables import ANALYSIS, MissingTableError, RunTables
from msae_dashboards.view.nodes import Box, Content, Notice, Paragraph


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel of a page, alike in the app, in a file and in a notebook.

    `about`: what it is of: the whole run, or the latent that the address names. `needs`: tables without which there is
    nothing to show; `optional`: those of them that an analysis leaves out of runs that cannot have them (an encoder has
    no logits). `render(visit)` gives nodes, and leaves the title to `show`; it draws nothing at random. `hint`: what it
    shows, in a sentence.
    """

    name: str
    title: str
    about: Literal["run", "latent"]
    needs: tuple[str, ...]
    render: Callable[[Visit], Content]
    hint: str = ""
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A look at a page in one state.

    `panels`: what the page may show. `among`: the latents whose pages are to be had, in their order; None: all.
    """

    tables: RunTables
    address: Address
    panels: Sequence[Panel] = ()
    among: Sequence[int] | None = None

    def at(self, address: Address) -> Visit:
        """The same page in another state."""
        return replace(self, address=address)

    def show(self, *panels: Panel) -> list[Box]:
        """Panels of the page, each under its title; `ValueError` for one that the page does not list."""
        for panel in panels:
            if panel not in self.panels:
                raise ValueError(f"the page does not list the panel {panel.name!r}: add it to its panels")
        return [show(panel, self) for panel in panels]


def show(panel: Panel, visit: Visit) -> Box:
    """The panel under its title; where a table is missing or half-written, what to run instead; where an analysis left
    it out since this run cannot have it, that."""
    try:
        visit.tables.require(*panel.needs)
        parts = panel.render(visit)
    except MissingTableError as error:
        absent = error.name in panel.optional and visit.tables.has(ANALYSIS) and not visit.tables.has(error.name)
        parts = left_out(visit.tables) if absent else missing(error)
    return Box(panel.name, panel.title, parts, label=panel.title or panel.name.replace("-", " "), hint=panel.hint)


def left_out(tables: RunTables) -> Content:
    """A table that an analysis of this run does not make, and what the analysis notes."""
    notes = tables.analysis()["notes"]
    return [Paragraph("Not to be had for this run.", "note"), *(Paragraph(note, "note") for note in notes)]


def missing(error: MissingTableError) -> Notice:
    """A table that is not there, and the command that makes it."""
    return Notice(f"The table “{error.name}” {error.why}. To make it, run", command=error.command)
