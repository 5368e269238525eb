"""What the panels about one latent share."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from msae.core.errors import MsaeError
from msae_dashboards.address import Address
from msae_dashboards.primitives import feature_link
from msae_dashboards.tables import RunTables


class UnknownLatentError(MsaeError):
    """The address names a latent that the dictionary does not have, or none."""


def latent_of(tables: RunTables, address: Address) -> int:
    """The latent an address names; `UnknownLatentError` when the run has no such latent."""
    n = len(tables.features())
    if address.latent is None or not 0 <= address.latent < n:
        raise UnknownLatentError(f"there is no latent {address.latent}: the run's are numbered 0 to {n - 1:,}")
    return address.latent


def linked(tables: RunTables, latent: int, *, href: str | None = None) -> Component:
    """A latent to click, with its level and top tokens. `href`: to elsewhere than its page."""
    features = tables.features()
    return feature_link(latent, int(features.level[latent]), features.top_tokens[latent], href=href)


def ranking(rows: Sequence[tuple[Component, str, str]], *, label: str) -> Component:
    """Latents with a figure each: (link, figure, what it says in full)."""
    if not rows:
        return html.P("none", className="note")
    items = [html.Li([link, html.Span(value, className="value", title=title)]) for link, value, title in rows]
    return html.Ul(items, className="ranking", **{"aria-label": label})


def introduced(tables: RunTables, latent: int) -> Component:
    """A latent to click, and what is said of it."""
    said = tables.features().explanation[latent]
    return html.Div([linked(tables, latent), *([html.Div(said, className="said")] if said else [])])


def kept_level(tables: RunTables, address: Address) -> int | None:
    """The level that an address keeps to, if the run has it."""
    level = address.whole("level")
    return level if level is not None and level < tables.features().n_levels else None
