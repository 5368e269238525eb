"""Token text as shown."""

from __future__ import annotations

import pytest

from msae_dashboards.view.visible import quoted, visible

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("def", "def"),
        ("\n    ", "↵    "),
        ("\t", "⇥"),
        ("a\u200bb", "a⟨200B⟩b"),
        ("\u202eabc", "⟨202E⟩abc"),
        ("\x00", "⟨0000⟩"),
        ("שלום", "שלום"),
        (FAMILY, FAMILY),
        ("\u200d", "⟨200D⟩"),
        ("<script>", "<script>"),
        ("", ""),
    ],
)
def test_every_character_shows(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_long_token_is_cut_and_says_so() -> None:
    assert visible("x" * 10_000) == "x" * 120 + "… (10,000 characters)"
    assert visible("x" * 120) == "x" * 120


@pytest.mark.parametrize(
    ("text", "shown"),
    [(" def", "␣def"), ("  ", "␣␣"), ("", "∅"), ("\n        ", "↵␣×8"), ("a b ", "a b␣"), ("\n", "↵")],
)
def test_spaces_at_the_ends_of_a_quoted_token_are_seen(text: str, shown: str) -> None:
    assert quoted(text) == shown
