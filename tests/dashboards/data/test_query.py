"""What is typed into a search field, by hand: and what a page shows finds what it stands for."""

from __future__ import annotations

import pytest

from msae_dashboards.data.query import Query, meant
from msae_dashboards.view.visible import quoted


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query()),
        ("Def  return", Query(words=("def", "return"))),
        ('"Self" x', Query(words=("x",), exact=("self",))),
        ("logit:try", Query(logits=("try",))),
        ('logit:" try"', Query(logits=(" try",))),
        ("level:2 level:0 a", Query(words=("a",), levels=(2, 0))),
        ("level:x logits:y", Query(words=("level:x", "logits:y"))),
        ("␣self ↵", Query(words=(" self", "\n"))),
        ('"↵␣×8"', Query(exact=("\n" + " " * 8,))),
        ('"', Query(words=('"',))),
    ],
)
def test_what_is_typed(text: str, query: Query) -> None:
    assert Query.of(text) == query


@pytest.mark.parametrize("token", [" self", "\n", "\n        ", "    ", "\tif", "a b", "x", "\r\n"])
def test_what_a_page_shows_is_what_it_stands_for(token: str) -> None:
    assert meant(quoted(token)) == token
