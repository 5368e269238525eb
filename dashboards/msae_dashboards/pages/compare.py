"""Comparison: two levels of the run, or the run beside others that `msae compare` measured on the same tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from dash import html
from dash.development.base_component import Component

from msae_dashboards.address import Address, compare_href
from msae_dashboards.pages.page import Page
from msae_dashboards.panels import (
    compare_figures,
    compare_map,
    compare_matched,
    compare_nearness,
    compare_rate,
    compare_unmatched,
    show,
)
from msae_dashboards.panels.compared import LEVELS, Compared
from msae_dashboards.tables import RunTables
from msae_dashboards.ways import level_steps, steps

PANELS = (compare_nearness.PANEL, compare_rate.PANEL)


def render(tables: RunTables, address: Address) -> Component:
    """Which comparison, which two sides; figures; latents found again and not."""
    compared = Compared.of(tables, address)
    known = tables.comparisons()
    choices = [("levels of this run", compare_href(), compared.name == LEVELS)]
    choices += [(f"with {name}", compare_href(**{"with": name}), name == compared.name) for name in known]
    own = compared.sides[compared.a].own and compared.name != LEVELS
    filters = level_steps(
        range(len(tables.run.prefix_widths)),
        compared.level,
        lambda level: compared.href(level=level),
        label="Level of the run's latents",
    )
    sides = [compared.sides[compared.a].shown, " beside ", compared.sides[compared.b].shown]
    head = [
        html.H1("Compare"),
        html.Span(sides, className="badge"),
        steps(choices, label="What the run is compared with"),
        *([filters] if own else []),
    ]
    row = [show(panel, tables, address) for panel in (compare_map.PANEL, compare_figures.PANEL)]
    plots = [show(panel, tables, address) for panel in PANELS]
    lists = [show(panel, tables, address) for panel in (compare_matched.PANEL, compare_unmatched.PANEL)]
    hint = html.P(
        [
            "To put another run beside this one on the same tokens: ",
            html.Code(f"msae compare {tables.title} OTHER", className="shell"),
            ". After ",
            html.Code(f"msae train --independent {tables.title}", className="shell"),
            " OTHER may be left out.",
        ],
        className="note",
    )
    body = [html.Div(row, className="beside"), html.Div(plots, className="pair"), *lists, hint]
    return html.Div([html.Header(head), html.Div(body, className="column")], className="page")


def states(tables: RunTables, latents: Sequence[int]) -> Iterable[Address]:
    """Every two levels, both ways; of every other comparison its beginning and the run beside each other SAE."""
    n_levels = len(tables.run.prefix_widths)
    for a, b in combinations(range(n_levels), 2):
        for one, other in ((a, b), (b, a)):
            yield Address(page="compare", query={"a": str(one), "b": str(other)})
    for name, known in tables.comparisons().items():
        yield Address(page="compare", query={"with": name})
        own = known["saes"].index(known["own"])
        for other in range(len(known["saes"])):
            if other != own:
                yield Address(page="compare", query={"with": name, "a": str(own), "b": str(other)})


PAGE = Page(name="compare", title="Compare", render=render, states=states)
