"""The static form: whatever the text, it is text."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import plotly.graph_objects as go
import pytest
from dash import dcc, html
from hypothesis import given
from hypothesis import strategies as st

from msae_dashboards.to_html import ConversionError, to_html


class Reader(HTMLParser):
    """Tags with their attributes, and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


@given(printable, printable)
def test_text_and_attributes_survive_and_add_no_tag(text: str, title: str) -> None:
    read = Reader(to_html(html.Div(html.Span(text, title=title, **{"data-t": text}))))
    assert [tag for tag, _ in read.tags] == ["div", "span"]
    assert read.text == text
    assert read.tags[1][1] == {"title": title, "data-t": text}


def test_a_figure_survives_whatever_its_text() -> None:
    hostile = "</script><script>alert(1)</script><!--"
    page = to_html(dcc.Graph(figure=go.Figure(layout={"title": {"text": hostile}})))
    read = Reader(page)
    assert [tag for tag, _ in read.tags] == ["div", "script"]
    assert json.loads(read.text)["figure"]["layout"]["title"]["text"] == hostile


def test_links_are_rewritten_or_left_as_text() -> None:
    tree = html.P([dcc.Link("one", href="/feature/1"), dcc.Link("two", href="/feature/2")])
    page = to_html(tree, {"/feature/1": "feature-1.html"}.get)
    assert page == '<p><a href="feature-1.html">one</a><span>two</span></p>'


def test_styles_classes_and_wildcards_by_hand() -> None:
    tree = html.Label(
        "x", className="a b", htmlFor="f", style={"--a": "0.5", "fontSize": "3px"}, **{"aria-hidden": True}
    )
    assert to_html(tree) == '<label aria-hidden="true" class="a b" for="f" style="--a:0.5;font-size:3px">x</label>'
    assert to_html([None, True, 3, html.Br()]) == "3<br>"


@pytest.mark.parametrize(
    "tree",
    [
        html.Script("alert(1)"),
        html.Iframe(src="x"),
        dcc.Link("x", href="javascript:alert(1)"),
        html.A("x", href=" data:text/html,x"),
        dcc.Dropdown(),
    ],
    ids=["script", "iframe", "javascript", "data", "dropdown"],
)
def test_what_has_no_static_form_is_refused(tree) -> None:
    with pytest.raises(ConversionError):
        to_html(tree)
