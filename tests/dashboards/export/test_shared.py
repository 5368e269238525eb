"""What repeats is written once, and nothing is lost."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from dash import html

from msae.plots.features import density_figure
from msae_dashboards.export.shared import Shared
from msae_dashboards.primitives import feature_link, figure, token_strip
from msae_dashboards.to_html import to_html
from msae_dashboards.visible import visible


def test_a_strip_is_numbers_of_tokens_by_hand():
    shared = Shared()
    strip = token_strip(["de", "f", "x", "x"], [1, 2, 7, 7], [4.0, 8.0, 0.0, 0.0], position=1, largest=8.0)
    assert to_html(strip, compact=shared.compact) == ('<div data-strip="0:4 1:8 2 2" data-here="1" data-of="8"></div>')
    assert shared.as_json()["tokens"] == [["de", 1], ["f", 2], ["x", 7]]


def test_tokens_are_shared_between_strips_by_text_and_id():
    shared = Shared()
    for texts, ids in ((["a", "b"], [0, 1]), (["b", "a"], [1, 5])):
        shared.compact(token_strip(texts, ids, [0.0, 0.0], position=0, largest=1.0), str)
    assert shared.as_json()["tokens"] == [["a", 0], ["b", 1], ["a", 5]]


def test_a_link_to_a_feature_is_its_number_and_where_it_leads_elsewhere():
    shared = Shared()
    tree = [feature_link(3, 1, [" a"]), feature_link(3, 1, [" a"], href="/splitting/3"), feature_link(4), None]
    link = {"/splitting/3": "splitting/3.html"}.get
    assert to_html(tree, link, shared.compact) == (
        '<span data-link="0"></span><span data-link="0" data-to="splitting/3.html"></span><span data-link="1"></span>'
    )
    assert shared.as_json()["links"] == [[3, 1, "␣a"], [4, None]]
    assert to_html(feature_link(3, 1, [" a"], href="/tree/3"), link, shared.compact) == (
        '<span data-link="0" data-to=""></span>'
    )


def test_what_is_no_strip_and_no_figure_keeps_its_own_form():
    shared = Shared()
    tree = html.Div([html.I("a", title="more"), "text"], className="strip")
    assert to_html(tree, compact=shared.compact) == to_html(tree)


@pytest.mark.parametrize("hostile", ['"><script>alert(1)</script>', "</script><!--", "\u202e", "\u2028"])
def test_text_of_tokens_is_in_the_data_alone(hostile):
    shared = Shared()
    text = shared.compact(token_strip([hostile], [3], [1.0], position=0, largest=1.0), str)
    assert text == '<div data-strip="0:1" data-here="0" data-of="1"></div>'
    assert shared.as_json()["tokens"][0][0] == visible(hostile)


def test_a_figure_leaves_its_template_to_the_shared_script():
    shared = Shared()
    plot = figure(density_figure({0: np.array([0.1, 0.1, 0.01])}), label="two densities", height=300)
    short, long = to_html(plot, compact=shared.compact), to_html(plot)
    content = json.loads(re.search(r'<script type="application/json">(.*)</script>', short)[1])
    assert "template" not in content["layout"] and "colorway" in shared.as_json()["template"]["layout"]
    assert content["data"][0]["name"] == "level 0"
    assert len(short) < 0.7 * len(long)
