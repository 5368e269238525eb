"""A strip of tokens as HTML: what fires, what is bold, what a shorter context hides."""

from __future__ import annotations

from msae_dashboards.pages.passages import strip_of
from msae_dashboards.view.html import write
from msae_dashboards.view.nodes import TokenStrip


def test_a_strip_by_hand() -> None:
    strip = TokenStrip(["<b>", None, "\n"], [7, 8, 9], [0.0, 2.0, 4.0], 1, 4.0)
    assert write(strip) == (
        '<div class="strip" dir="ltr" style="--m:4"><i data-t=7>&lt;b&gt;</i>'
        "<i data-t=8 class=here data-v=2 style=--v:2>⟨8⟩</i>"
        "<i data-t=9 data-v=4 style=--v:4>↵</i></div>"
    )


def test_lines_break_after_their_sign_where_they_should() -> None:
    assert ">a↵\nb</i>" in write(TokenStrip(["a\nb"], [1], [0.0], 0, 1.0, line_breaks=True))


def test_what_is_far_is_in_parts_of_its_own() -> None:
    page = write(TokenStrip(["x"] * 41, list(range(41)), [0.0] * 41, 20, 1.0))
    parts = page.split("<span class=")
    assert [part.split(">")[0] for part in parts[1:]] == ['"far"', '"mid"', '"mid"', '"far"']
    assert [part.count("<i ") for part in parts] == [0, 4, 11 + 11, 11, 4]
    assert page.count("class=here") == 1


def test_special_tokens_and_where_the_model_begins_anew_stand_between_the_tokens() -> None:
    strip = TokenStrip(["a", "b"], [1, 2], [0.0, 0.0], 0, 1.0, specials={0: ["<s>"], 2: ["</s>"]}, cuts=(1,))
    page = write(strip)
    order = [page.index(part) for part in ("&lt;s&gt;", ">a</i>", 'class="cut"', ">b</i>", "&lt;/s&gt;")]
    assert order == sorted(order) and page.count("<i ") == 2


def row_of(**columns: object) -> dict:
    return {"position": 2, "context_tokens": list("abcde"), "context_ids": [0, 1, 2, 3, 4], **columns}


def test_a_border_is_drawn_where_the_models_context_begins_and_ends() -> None:
    strip = strip_of(row_of(context_opens=True, context_closes=True), [0.0] * 5, 1.0)
    page = write(strip)
    assert strip.cuts == (0, 5) and page.count('class="cut"') == 2
    assert page.index('class="cut"') < page.index(">a</i>") and page.rindex('class="cut"') > page.index(">e</i>")
    inner = strip_of(row_of(context_opens=True, context_closes=True), [0.0] * 5, 1.0, before=1, after=1)
    assert (inner.texts, inner.position, inner.cuts) == (["b", "c", "d"], 1, ())
    assert strip_of(row_of(context_opens=None, context_closes=False), [0.0] * 5, 1.0).cuts == ()
    assert strip_of(row_of(), [0.0] * 5, 1.0).cuts == ()  # a table made before there were borders
