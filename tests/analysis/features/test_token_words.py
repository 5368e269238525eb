from __future__ import annotations

import pytest

from msae.analysis.features.token_words import KINDS, kinds_of, one_of, quoted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def", "`def`"),
        (" x\n", "` x↵`"),
        ("\n", "a line break"),
        ("\n    ", "a line break and 4 spaces"),
        ("\n\n ", "2 line breaks and a space"),
        ("  ", "2 spaces"),
        ("\t", r"`'\t'`"),
        ("", "``"),
        ("a`b", "`aˋb`"),
        ("<script>", "`<script>`"),
        ("x" * 10_000, "`" + "x" * 31 + "…`"),
    ],
)
def test_a_token_in_a_sentence(text, said):
    assert quoted(text) == said


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("42", {"a number"}),
        (" 42", {"a number"}),
        ("\n\n    ", {"a line break"}),
        ("   ", {"blanks"}),
        ("):", {"punctuation"}),
        (" Tree", {"a capitalised word", "a word after a blank"}),
        ("ERROR", {"an upper-case word", "a word or part of one"}),
        ("tion", {"a word or part of one"}),
        ("été", {"a word or part of one"}),
        ("Été", {"a capitalised word", "a word or part of one"}),
        (" _", {"punctuation", "a word after a blank"}),
        ("", set()),
    ],
)
def test_kinds(text, names):
    assert {name for (name, _), has in zip(KINDS, kinds_of([text])[:, 0], strict=True) if has} == names


def test_one_of_several():
    assert [one_of(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a or b", "a, b or c"]
