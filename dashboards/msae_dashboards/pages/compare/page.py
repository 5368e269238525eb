"""Comparison: two levels of the run, or the run and others that `msae compare` measured on the same tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from msae_dashboards.address import Address, compare_href
from msae_dashboards.pages.compare import figures, found_again, matched, nearness, rate, unmatched
from msae_dashboards.pages.compare.compared import LEVELS, Compared
from msae_dashboards.pages.navigation import level_choices
from msae_dashboards.pages.page import Page
from msae_dashboards.pages.panel import Visit
from msae_dashboards.view.nodes import Body, Choice, Choices, Command, Content, Notice, Paragraph, Stack, Text

PANELS = (found_again.PANEL, figures.PANEL, nearness.PANEL, rate.PANEL, matched.PANEL, unmatched.PANEL)


def body(visit: Visit) -> Body:
    """Which comparison, which two sides; figures; latents found again and not."""
    tables, compared = visit.tables, Compared.of(visit)
    choices = [Choice("levels of this run", compare_href(), compared.name == LEVELS)]
    choices += [
        Choice(f"with {name}", compare_href(**{"with": name}), name == compared.name) for name in tables.comparisons()
    ]
    head: list[Content] = [Choices(choices, "What the run is compared with")]
    how: list[Content] = [
        "To compare another run with this one on the same tokens: ",
        Command(f"msae compare {tables.title} OTHER"),
        ". After ",
        Command(f"msae train --independent {tables.title}"),
        " OTHER may be left out.",
    ]
    if len(compared.sides) < 2:
        only = Notice("This run has one level: there is nothing in the run itself to compare it with.")
        return Body("Compare", Stack([only, Paragraph(how, "note")], "column"), head=head)
    sides = [compared.sides[compared.a].shown, " and ", compared.sides[compared.b].shown]
    head.insert(0, Text(sides, "badge"))
    if compared.sides[compared.a].own and compared.name != LEVELS:
        levels = range(tables.features().n_levels)
        label = "Level of the run's latents"
        head.append(level_choices(levels, compared.level, lambda level: compared.href(level=level), label=label))
    parts = [
        Stack(visit.show(found_again.PANEL, figures.PANEL), "unequal"),
        Stack(visit.show(nearness.PANEL, rate.PANEL), "pair"),
        *visit.show(matched.PANEL, unmatched.PANEL),
        Paragraph(how, "note"),
    ]
    return Body("Compare", Stack(parts, "column"), head=head)


def states(visit: Visit, latents: Sequence[int]) -> Iterable[Address]:
    """Every two levels, both directions; of every other comparison its beginning and the run with each other SAE."""
    for a, b in combinations(range(visit.tables.features().n_levels), 2):
        for one, other in ((a, b), (b, a)):
            yield Address(page="compare", query={"a": str(one), "b": str(other)})
    for name, known in visit.tables.comparisons().items():
        yield Address(page="compare", query={"with": name})
        own = known["saes"].index(known["own"])
        for other in range(len(known["saes"])):
            if other != own:
                yield Address(page="compare", query={"with": name, "a": str(own), "b": str(other)})


PAGE = Page(name="compare", title="Compare", panels=PANELS, body=body, states=states)
