"""A latent's page: three columns, as the field knows them."""

from __future__ import annotations

import numpy as np
from dash import dcc, html
from dash.development.base_component import Component

from msae_dashboards.address import Address, feature_href, prompt_href
from msae_dashboards.pages.page import Page, not_found
from msae_dashboards.panels import (
    activation_histogram,
    cofiring,
    examples,
    family,
    logit_histogram,
    logits,
    neighbours,
    show,
    summary,
)
from msae_dashboards.panels.latent import UnknownLatentError, latent_of
from msae_dashboards.panels.panel import missing
from msae_dashboards.tables import MissingTableError, RunTables
from msae_dashboards.ways import beside, level_steps

LEFT = (logits.PANEL, neighbours.PANEL, cofiring.PANEL, family.PANEL)
MIDDLE = (summary.PANEL, activation_histogram.PANEL, logit_histogram.PANEL)
RIGHT = (examples.PANEL,)


def render(tables: RunTables, address: Address) -> Component:
    """The head with the ways to other latents, and the columns. `level` in the query keeps to one level."""
    try:
        latent = latent_of(tables, address)
    except MissingTableError as error:
        return html.Div([html.H1(f"Feature {address.latent}"), missing(error)], className="page")
    except UnknownLatentError as error:
        return not_found(f"{error}.".capitalize())
    return html.Div([_head(tables, address, latent), columns(tables, address)], className="page")


def columns(tables: RunTables, address: Address) -> Component:
    """Everything below the head."""
    sides = [
        html.Div([show(panel, tables, address) for panel in panels], className=f"column {side}")
        for side, panels in (("left", LEFT), ("middle", MIDDLE), ("right", RIGHT))
    ]
    return html.Div(sides, className="feature")


def _head(tables: RunTables, address: Address, latent: int) -> Component:
    features = tables.features()
    kept = next((level for level in address.numbers("level") if level < features.n_levels), None)
    before, after = features.near(latent, kept)
    ways = beside(*(None if latent is None else feature_href(latent) + _query(kept) for latent in (before, after)))
    among = np.arange(len(features)) if kept is None else np.flatnonzero(features.level == kept)
    anywhere = html.Button(
        "random",
        type="button",
        className="way random",
        **{"data-random": f"{among[0]}-{among[-1]}", "data-query": _query(kept)},
    )
    steps = html.Nav([*ways, anywhere], className="ways", **{"aria-label": "Other features"})
    levels = level_steps(
        range(features.n_levels),
        kept,
        lambda level: feature_href(latent, level=level),
        label="Levels that previous and next go through",
    )
    live = dcc.Link("try it on a text", href=prompt_href(latent=str(latent)), className="way try")
    return html.Header([html.H1(f"Feature {latent}"), steps, levels, live])


def _query(level: int | None) -> str:
    return "" if level is None else f"?level={level}"


PAGE = Page(name="feature", title="Feature", render=render, listed=False)
