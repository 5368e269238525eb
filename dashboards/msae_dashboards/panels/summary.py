"""The head of a latent's page: its number and level, how often it fires, what is said of it."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from msae_dashboards.address import Address, features_href
from msae_dashboards.panels.latent import latent_of
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import level_link, number, share, token_chip
from msae_dashboards.tables import EXPLANATIONS, RunTables


def render(tables: RunTables, address: Address) -> Component:
    """Level chip, density, explanation with its scores, the tokens it fires on most, recorded statistics."""
    latent, features = latent_of(tables, address), tables.features()
    level = int(features.level[latent])
    line = html.P([level_link(level, features_href(level=str(level))), _density(float(features.density[latent]))])
    tokens = zip(features.top_tokens[latent], features.top_shares[latent], strict=False)
    chips = [token_chip(token, f"{share(part, 1)} of its summed activation") for token, part in tokens]
    return html.Div(
        [line, _explanation(tables, latent), html.P(chips, className="tokens"), _statistics(tables, latent)]
    )


def _density(density: float) -> Component:
    return html.Span(["Activations density ", html.B(share(density))], className="density")


def _explanation(tables: RunTables, latent: int) -> Component | None:
    if not tables.has(EXPLANATIONS):
        return None
    rows = tables.rows(EXPLANATIONS, latent)
    if not rows or not rows[0]["explanation"]:
        return None
    row = rows[0]
    scores = f"precision {number(row['precision'], 2)}, recall {number(row['recall'], 2)} on held-out tokens"
    return html.Blockquote([row["explanation"], html.Footer(scores)], className="explanation")


def _statistics(tables: RunTables, latent: int) -> Component:
    row = tables.rows("features", latent)[0]
    values = [("fires on", f"{row['n_tokens']:,} tokens"), ("status", row["status"])]
    values += [(name, number(row[column], 2)) for name, column in (("max", "max"), ("mean", "mean"))]
    values += [(name, number(row[column], 2)) for name, column in (("p10", "p10"), ("median", "p50"), ("p90", "p90"))]
    return html.Dl([html.Div([html.Dt(name), html.Dd(value)]) for name, value in values], className="figures")


PANEL = Panel(name="summary", title="", about="latent", needs=("features",), render=render)
