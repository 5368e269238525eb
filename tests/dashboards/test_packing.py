"""A page as few components: nothing is lost, and what callbacks may name stays as it is."""

from __future__ import annotations

from dash import dcc, html

from msae_dashboards.markup import Markup
from msae_dashboards.packing import packed
from msae_dashboards.primitives import token_strip
from msae_dashboards.to_html import to_html


def test_elements_links_texts_strips_and_markup_become_one_component():
    strip = token_strip(["a"], [1], [2.0], position=0, largest=2.0)
    written = Markup(tag="b", attributes={"className": "c"}, html="&lt;")
    tree = html.Div([html.B("<b>"), 3, None, [dcc.Link("to", href="/x", className="l")], strip, written], className="c")
    expected = to_html(tree)
    found = packed(tree)
    assert isinstance(found, Markup) and (found.tag, found.attributes) == ("div", {"className": "c"})
    assert found.html.startswith('<b>&lt;b&gt;</b>3<a href="/x" class="l">to</a><div class="strip"')
    assert to_html(found) == expected


def test_what_is_around_a_figure_or_has_an_id_stays_and_the_rest_is_packed():
    tree = html.Div([html.P("plain"), html.Div(dcc.Graph()), html.Span(id="named"), html.Ul([html.Li("a")])])
    found = packed(tree)
    kinds = [type(child).__name__ for child in found.children]
    assert isinstance(found, html.Div) and kinds == ["Markup", "Div", "Span", "Markup"]
    assert (found.children[3].tag, found.children[3].html) == ("ul", "<li>a</li>")
