"""The writer of HTML: whatever the text, it is text; and every node is written."""

from __future__ import annotations

import json

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msae.plots.features import density_figure
from msae_dashboards.view import controls, nodes
from msae_dashboards.view.html import WRITERS, Frame, UnwritableError, cell, document, write, writer
from msae_dashboards.view.html.element import embedded_json, tag
from tests.dashboards.view.reader import Reader

HOSTILE = """</script><script>alert(1)</script><!-- "' onload="alert(1)"""
printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


def test_every_kind_of_node_has_a_writer() -> None:
    assert set(nodes.Node.__subclasses__()) == set(WRITERS)


def test_what_is_no_node_is_refused() -> None:
    for wrong in (object(), 1.5, True, {"a": 1}):
        with pytest.raises(UnwritableError, match="no part of a page"):
            write(wrong)  # type: ignore[arg-type]


@given(printable, printable)
def test_text_and_attributes_survive_and_add_no_tag(text: str, title: str) -> None:
    read = Reader(tag("div", tag("span", text, title=title, data_t=text)))
    assert [name for name, _ in read.tags] == ["div", "span"]
    assert read.text == text
    given = {"title": title, "data-t": text}
    assert read.tags[1][1] == {name: value for name, value in given.items() if value}


TEXTS = [
    nodes.Strong(HOSTILE),
    nodes.Text(HOSTILE, "value", HOSTILE),
    nodes.Term(HOSTILE, HOSTILE),
    nodes.Command(HOSTILE),
    nodes.Link(HOSTILE, "/feature/1", HOSTILE, HOSTILE),
    nodes.TokenChip(HOSTILE, HOSTILE),
    nodes.FeatureLink(3, 1, [HOSTILE]),
    nodes.Meter(0.5, HOSTILE, HOSTILE),
    nodes.Shade(HOSTILE, 0.5, HOSTILE),
    nodes.Notice(HOSTILE, HOSTILE),
    nodes.Quotation(HOSTILE, HOSTILE),
    nodes.Fold(HOSTILE, HOSTILE),
    nodes.Terms([(HOSTILE, HOSTILE)]),
    nodes.Figures([(HOSTILE, HOSTILE, HOSTILE)]),
    nodes.Ranking([(HOSTILE, HOSTILE, HOSTILE)], HOSTILE),
    nodes.Table(HOSTILE, [nodes.Head(HOSTILE, HOSTILE)], [[HOSTILE]]),
    nodes.HeatTable(HOSTILE, [HOSTILE], [(HOSTILE, [nodes.Cell(HOSTILE, 0.5, "/compare", HOSTILE)])]),
    nodes.Index(["Feature"], [nodes.IndexRow(1, 0, [(HOSTILE, None)])]),
    nodes.Example(HOSTILE, nodes.TokenStrip([HOSTILE], [1], [2.0], 0, 2.0), HOSTILE),
    nodes.Lines([(HOSTILE, HOSTILE, nodes.TokenStrip([HOSTILE], [1], [0.0], 0, 2.0))], HOSTILE),
    nodes.SideBySide(
        HOSTILE,
        [(1, 0, HOSTILE)],
        [(HOSTILE, [nodes.Together(nodes.TokenStrip([HOSTILE], [1], [1.0], 0, 1.0), HOSTILE, [(HOSTILE, 1.0, True)])])],
    ),
    nodes.Histogram([1, 2], 0.0, 1.0, HOSTILE, HOSTILE),
    nodes.LogitList("positive", [(HOSTILE, 1, HOSTILE, 1.0)]),
    nodes.Treemap(10.0, [nodes.MapBox(0.0, 0.0, 1.0, 1.0, HOSTILE, "/tree/1", HOSTILE, 0)]),
    nodes.Partition([nodes.Segment(HOSTILE, 1.0, HOSTILE, 0)], HOSTILE),
    nodes.Box("name", HOSTILE, HOSTILE, HOSTILE, HOSTILE),
    nodes.Choices([nodes.Choice(HOSTILE, "/tree", False)], HOSTILE),
    nodes.Moves([nodes.Move(HOSTILE, "/tree")], HOSTILE),
    nodes.Body(HOSTILE, HOSTILE, name=HOSTILE),
    controls.TextField("name", HOSTILE, HOSTILE, HOSTILE),
    controls.TextField("name", HOSTILE, HOSTILE, HOSTILE, rows=3),
    controls.Several("name", HOSTILE, [(HOSTILE, HOSTILE)], [HOSTILE]),
    controls.OneOf("name", HOSTILE, [(HOSTILE, HOSTILE)], HOSTILE),
    controls.Slider("name", HOSTILE, 0.0, 0.0, 1.0, 0.1),
    controls.PickToken(HOSTILE, HOSTILE),
    controls.TokenStep(HOSTILE, "next", 1),
    controls.Progress(0.5, HOSTILE),
    controls.WrittenText([HOSTILE], 0),
]


@pytest.mark.parametrize("node", TEXTS, ids=lambda node: type(node).__name__)
def test_hostile_text_is_text_in_every_node_that_has_any(node: nodes.Node) -> None:
    read = Reader(write(node))
    assert not {name for name, _ in read.tags} & {"script", "img"}
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    everywhere = read.text + "".join(value or "" for _, attributes in read.tags for value in attributes.values())
    assert "</script><script>alert(1)" in everywhere


def test_a_figure_survives_whatever_its_text_and_leaves_what_all_have_to_the_script() -> None:
    drawn = go.Figure(layout={"title": {"text": HOSTILE}})
    write_ = writer()
    read = Reader(write_(nodes.Figure(drawn, "label", height=120)))
    assert [name for name, _ in read.tags] == ["div", "div", "script"] and write_.figures == 1
    assert json.loads(read.text)["layout"]["title"]["text"] == HOSTILE
    assert json.loads(read.text)["layout"]["height"] == 120
    ours = Reader(write(nodes.Figure(density_figure({}), "label")))
    assert "template" not in json.loads(ours.text)["layout"]


def test_data_in_a_script_cannot_end_it() -> None:
    page = embedded_json({"text": "</script><!--\u2028"})
    assert page.count("<") == 2 and "\u2028" not in page


def test_links_are_rewritten_or_left_as_text() -> None:
    links = [nodes.Link("one", "/feature/1"), nodes.Link("two", "/feature/2", "note")]
    written = write(links, {"/feature/1": "feature-1.html"}.get)
    assert written == '<a href="feature-1.html">one</a><span class="note">two</span>'
    assert 'class="move off"' in write(nodes.Move("next", "/feature/2", "next"), {}.get)
    assert "href" not in write(nodes.FeatureLink(3), {}.get)


@pytest.mark.parametrize("href", ["javascript:alert(1)", " data:text/html,x", "JavaScript:x", "http://elsewhere/"])
def test_a_link_out_of_the_pages_is_refused(href: str) -> None:
    with pytest.raises(UnwritableError, match="no address"):
        write(nodes.Link("x", href))


@pytest.mark.parametrize("name", ["onclick", "on_load", "a b", "x>y"])
def test_an_attribute_that_is_a_script_or_no_name_is_refused(name: str) -> None:
    with pytest.raises(UnwritableError, match="no attribute"):
        tag("p", **{name: "x"})


def test_elements_by_hand() -> None:
    assert tag("label", "x & y", class_="a", style={"--a": 0.5, "top": "3px"}, aria_hidden="true", hidden=True) == (
        '<label class="a" style="--a:0.5;top:3px" aria-hidden="true" hidden>x &amp; y</label>'
    )
    assert tag("input", value="", name=None, checked=False) == '<input value="">'
    assert write(["a", 3, None, [nodes.Strong("<")]]) == "a3<b>&lt;</b>"


FRAME = Frame(run=HOSTILE, root="../", bar=[(HOSTILE, "tree", True)], styles=["a.css"], scripts=["a.js"], plotly="p.js")


def test_a_document_is_safe_whatever_the_run_and_the_page_are_called() -> None:
    read = Reader(document(FRAME, HOSTILE, write(nodes.Body(HOSTILE, HOSTILE))))
    scripts = [attributes for name, attributes in read.tags if name == "script"]
    assert scripts == [{"src": "a.js"}]
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    page = document(FRAME, "$title {%scripts%}", write("$run"))
    assert "$title {%scripts%} · " in page and ">$run</main>" in page


def test_a_cell_is_safe_whatever_it_is_called() -> None:
    read = Reader(cell(HOSTILE, write(HOSTILE), style="a{}", script="let a;", plotly="</script>"))
    assert [name for name, _ in read.tags].count("script") == 2 and "title" in dict(read.tags)
