"""A page as one component: nothing is lost, and what callbacks may name stays as it is."""

from __future__ import annotations

import json

from dash import dcc, html
from plotly.utils import PlotlyJSONEncoder

from msae_dashboards.markup import Markup, packed
from msae_dashboards.primitives import token_strip


def test_elements_links_texts_and_strips_become_one_component():
    strip = token_strip(["a"], [1], [2.0], position=0, largest=2.0)
    tree = html.Div([html.B("<b>"), 3, None, [dcc.Link("to", href="/x", className="l")], strip], className="c")
    found = packed(tree)
    assert isinstance(found, Markup)
    tag, attributes, *children = json.loads(json.dumps(found.tree, cls=PlotlyJSONEncoder))
    assert (tag, attributes) == ("div", {"className": "c"})
    assert children[:4] == [
        ["b", {}, "<b>"],
        "3",
        "",
        ["", {}, ["Link", {"href": "/x", "className": "l"}, "to"]],
    ]
    attributes = {"texts": ["a"], "ids": [1], "marks": [[0, "2", 1.0, 1.0]], "position": 0, "largest": "2"}
    assert children[4] == ["TokenStrip", attributes]


def test_what_is_around_a_figure_or_has_an_id_stays_and_the_rest_is_packed():
    tree = html.Div([html.P("plain"), html.Div(dcc.Graph()), html.Span(id="named"), html.Ul([html.Li("a")])])
    found = packed(tree)
    kinds = [type(child).__name__ for child in found.children]
    assert isinstance(found, html.Div) and kinds == ["Markup", "Div", "Span", "Markup"]
    assert found.children[3].tree == ["ul", {}, ["li", {}, "a"]]
