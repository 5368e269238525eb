"""The index of exported features: a plain table that the page's script filters and sorts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from msae_dashboards.address import feature_href
from msae_dashboards.feature_index import FeatureIndex
from msae_dashboards.primitives import level_chip, number, share, token_chip

SHOWN_TOKENS = 6


def index(features: FeatureIndex, latents: Sequence[int]) -> Component:
    """One row a latent, in the order given. Cells carry their value where the text does not sort."""
    columns = ["Feature", "Level", "Top tokens", "Density", "Tokens", "Max", "Mean"]
    if features.has_explanations:
        columns[3:3] = ["Explanation", "F1"]
    names = ["by-" + column.lower().replace(" ", "-") for column in columns]
    head = [
        html.Th(html.Button(column, type="button", **{"data-sort": name}), scope="col", className=name)
        for column, name in zip(columns, names, strict=True)
    ]
    levels = sorted({int(features.level[latent]) for latent in latents})
    chips = [html.Button(level_chip(level), type="button", **{"data-level": str(level)}) for level in levels]
    return html.Div(
        [
            html.Header(
                [
                    html.H1("Features"),
                    html.Div(chips, className="choice", role="group", **{"aria-label": "Levels shown"}),
                    html.Span(f"{len(latents):,}", id="count", className="count", **{"aria-live": "polite"}),
                ]
            ),
            html.Section(
                html.Table(
                    [html.Thead(html.Tr(head)), html.Tbody([_row(features, latent, names) for latent in latents])],
                    id="index",
                ),
                className="panel",
                **{"aria-label": "Exported features"},
            ),
        ],
        className="page",
    )


def _row(features: FeatureIndex, latent: int, columns: Sequence[str]) -> Component:
    record = features.record(latent)
    tokens = [token_chip(token) for token in record["top_tokens"][:SHOWN_TOKENS]]
    cells: dict[str, tuple[Any, Any]] = {
        "by-feature": (dcc.Link(str(latent), href=feature_href(latent)), latent),
        "by-level": (level_chip(record["level"]), record["level"]),
        "by-top-tokens": (html.Span(tokens, className="tokens"), None),
        "by-explanation": (html.Div(record["explanation"], title=record["explanation"]), None),
        "by-f1": (number(record["f1"], 2), record["f1"]),
        "by-density": (share(features.density[latent]), record["density"]),
        "by-tokens": (f"{record['n_tokens']:,}", record["n_tokens"]),
        "by-max": (number(record["max"], 2), record["max"]),
        "by-mean": (number(record["mean"], 2), record["mean"]),
    }
    return html.Tr([_cell(name, *cells[name]) for name in columns], **{"data-level": str(record["level"])})


def _cell(name: str, shown: Any, value: int | float | None) -> Component:
    return html.Td(shown, className=name, **({} if value is None else {"data-value": f"{value:.6g}"}))
