"""What repeats on the pages of an export is written once, in a script that all of them share."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from dash import dcc
from dash.development.base_component import Component
from plotly.utils import PlotlyJSONEncoder

from msae.plots.theme import template
from msae_dashboards.primitives import FeatureLink
from msae_dashboards.to_html import Link, embedded_json, given
from msae_dashboards.token_strip import TokenStrip


class Shared:
    """The tokens of an export's strips and its links to features, each once, and the template of its figures.

    `compact` is a strip, link or figure that refers to these; `static.js` puts them together again.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int], int] = {}
        self._links: dict[tuple[int | str | None, ...], int] = {}
        self._template = _as_json(template())

    def compact(self, component: Component, link: Link) -> str | None:
        """The short form of a token strip, link to a feature or figure; None for anything else."""
        if isinstance(component, TokenStrip):
            return self._strip(given(component))
        if (named := FeatureLink.of(component)) is not None:
            return self._link(named, link)
        return self._figure(given(component)) if isinstance(component, dcc.Graph) else None

    def as_json(self) -> dict[str, Any]:
        """What the pages' script needs: [text, id] of each token and [latent, level, *tokens] of each link to a
        feature, by their numbers; the template."""
        tokens, links = ([list(parts) for parts in table] for table in (self._numbers, self._links))
        return {"tokens": tokens, "links": links, "template": self._template}

    def _strip(self, props: Mapping[str, Any]) -> str:
        """A word a token: its number here, and where it fires ``:activation``; shades are relative to `data-of`."""
        values = {place: activation for place, activation, *_ in props["marks"]}
        words = []
        for place, token in enumerate(zip(props["texts"], props["ids"], strict=True)):
            word = str(self._numbers.setdefault(token, len(self._numbers)))
            words.append(f"{word}:{values[place]}" if place in values else word)
        return (
            f'<div data-strip="{" ".join(words)}" data-here="{props["position"]}" data-of="{props["largest"]}"></div>'
        )

    def _link(self, named: FeatureLink, link: Link) -> str:
        """Its number here, and where it leads (nowhere: empty) if that is not the latent's page."""
        number = self._links.setdefault((named.latent, named.level, *named.tokens), len(self._links))
        to = "" if named.href is None else f' data-to="{html.escape(link(named.href) or "")}"'
        return f'<span data-link="{number}"{to}></span>'

    def _figure(self, props: Mapping[str, Any]) -> str:
        figure = _as_json(props["figure"])
        if figure["layout"].get("template") == self._template:
            del figure["layout"]["template"]
        return f'<div class="plot" style="height:{figure["layout"]["height"]}px">{embedded_json(figure)}</div>'


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, cls=PlotlyJSONEncoder))
