"""The first letter of each word: the concepts that absorption was found on (Chanin et al. 2024, arXiv:2409.14507).

In Python text a letter is labelled within one kind of word: names, keywords, words in comments and docstrings. In
any other text there is one kind, words. The token that holds the letter is labelled, whatever of the word it holds.
"""

from __future__ import annotations

import re
from itertools import islice
from string import ascii_lowercase

from msae.analysis.concepts.labels.labelled_rows import Concept
from msae.analysis.concepts.labels.python_concepts import python_spans
from msae.analysis.concepts.labels.spans import Span, Spans

KINDS = ("names", "keywords", "words in comments")
ONE_EACH = ("names", "keywords")
WORD = re.compile(r"[^\W\d_]+")


def letter_concepts(kind: str) -> tuple[Concept, ...]:
    """The 26 concepts of a kind of word."""
    family = f"first letter, {kind}"
    return tuple(
        Concept(name=f"{letter}… ({kind})", family=family, within=f"first letters, {kind}", letter=letter)
        for letter in ascii_lowercase
    )


WORDS = letter_concepts("words")
PYTHON_WORDS = tuple(concept for kind in KINDS for concept in letter_concepts(kind))


def word_spans(text: str) -> Spans:
    """The spans of `WORDS` in any text."""
    spans = Spans()
    _Letters(text, spans).add("words", [(0, len(text.encode()))])
    return spans


def python_word_spans(text: str, python: Spans | None = None) -> Spans:
    """The spans of `PYTHON_WORDS` in the parts of a text that are Python; `python`: its `python_spans`, if at hand."""
    found = (python or python_spans(text)).by_name
    spans = Spans()
    letters = _Letters(text, spans)
    for kind, places in zip(KINDS, (("name",), ("keyword",), ("comment", "docstring")), strict=True):
        letters.add(kind, [span for place in places for span in found.get(place, [])], one_each=kind in ONE_EACH)
    return spans


class _Letters:
    """Finds words in spans of a text, and adds the span of each one's first letter."""

    def __init__(self, text: str, spans: Spans) -> None:
        self._data, self._spans = text.encode(), spans

    def add(self, kind: str, within: list[Span], *, one_each: bool = False) -> None:
        """Every word in the spans; `one_each`: the first of each span alone, which is then one word in parts."""
        for start, stop in within:
            piece = self._data[start:stop].decode()
            for match in islice(WORD.finditer(piece, _PREFIX.match(piece).end()), 1 if one_each else None):  # type: ignore[union-attr]
                letter = match[0][0]
                begin = start + len(piece[: match.start()].encode())
                end = begin + len(letter.encode())
                self._spans.add(f"first letters, {kind}", begin, end)
                if letter.lower() in ascii_lowercase:
                    self._spans.add(f"{letter.lower()}… ({kind})", begin, end)


_PREFIX = re.compile(r"(?:[rRbBuUfF]{0,2}(?=['\"]))?")
"""The letters before a string's quotes, which are no word."""
