"""What a page is: its place in the URL, the panels it lists, and a function from a visit to its body."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from msae.core.errors import MsaeError
from msae_dashboards.address import Address
from msae_dashboards.data.tables import MissingTableError, RunTables
from msae_dashboards.pages.latents import UnknownLatentError
from msae_dashboards.pages.panel import Panel, Visit, missing
from msae_dashboards.view.nodes import Body, Notice

log = logging.getLogger(__name__)


def no_states(visit: Visit, latents: Sequence[int]) -> Iterable[Address]:
    """A page of which an export holds the beginning alone."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page. `name`: the first part of its path, empty for the first page. `title`: in the navigation bar; `listed`:
    whether it is there. `panels`: all that it shows. `needs`: tables without which it has nothing to show: then it is
    one notice, rather than one in every panel.

    `body(visit)` gives the whole page for a state, from its address alone. `states(visit, latents)`: the states that an
    export of some latents holds beyond the page's beginning; `exported`: whether one holds it at all.
    """

    name: str
    title: str
    panels: tuple[Panel, ...]
    body: Callable[[Visit], Body]
    needs: tuple[str, ...] = ("features",)
    listed: bool = True
    exported: bool = True
    states: Callable[[Visit, Sequence[int]], Iterable[Address]] = no_states

    @property
    def href(self) -> str:
        """Where it begins."""
        return Address(page=self.name).href

    def visit(self, tables: RunTables, address: Address, among: Sequence[int] | None = None) -> Visit:
        """A look at it."""
        return Visit(tables=tables, address=address, panels=self.panels, among=among)

    def render(self, tables: RunTables, address: Address, among: Sequence[int] | None = None) -> tuple[Body, int]:
        """The page at an address, and what it is to HTTP: 200, 404, or 500. Whatever goes wrong is shown there."""
        try:
            tables.require(*self.needs)
            return self.body(self.visit(tables, address, among)), 200
        except MissingTableError as error:
            return Body(self.title, missing(error)), 200
        except UnknownLatentError as error:
            return not_found(f"{error}.".capitalize()), 404
        except MsaeError as error:
            return Body(self.title, Notice(str(error), urgent=True)), 200
        except Exception:
            log.exception("the page %s failed", address.href)
            return Body(self.title, Notice("This page failed; the terminal says why.", urgent=True)), 500


def not_found(what: str) -> Body:
    """A page that is not there."""
    return Body("Not found", Notice(what, urgent=True))


def across_levels(visit: Visit) -> Notice | None:
    """For pages about what hangs together across levels: what to show of a run that has one level."""
    if visit.tables.features().n_levels > 1:
        return None
    return Notice("This run has one level. What hangs together across levels is measured in runs with two or more.")
