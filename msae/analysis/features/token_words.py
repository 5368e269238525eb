"""Tokens in words: how one is quoted in a sentence, and the kinds that many tokens share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool

LONGEST_SHOWN = 32
_SHOWN = str.maketrans({"\n": "↵", "\t": "⇥", "\r": "␍", "`": "ˋ"})

KINDS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("a number", lambda text: text.strip().isdecimal()),
    ("a line break", lambda text: "\n" in text and not text.strip()),
    ("blanks", lambda text: text.isspace() and "\n" not in text),
    ("punctuation", lambda text: bool(text.strip()) and not any(c.isalnum() or c.isspace() for c in text.strip())),
    ("a capitalised word", lambda text: text.strip().istitle() and text.strip().isalpha() and len(text.strip()) > 1),
    ("an upper-case word", lambda text: text.isupper() and text.strip().isidentifier() and len(text.strip()) > 1),
    ("a word after a blank", lambda text: text[:1].isspace() and text.strip().isidentifier()),
    ("a word or part of one", lambda text: text.isidentifier()),
)


def quoted(text: str) -> str:
    """A token as it stands in a sentence: in backticks with breaks made visible, blanks counted."""
    if text and not text.strip():
        breaks, blanks = text.count("\n"), len(text) - len(text.rstrip(" "))
        return " and ".join(filter(None, [_several(breaks, "line break"), _several(blanks, "space")])) or f"`{text!r}`"
    shown = text.translate(_SHOWN)
    return f"`{shown if len(shown) <= LONGEST_SHOWN else shown[: LONGEST_SHOWN - 1] + '…'}`"


def kinds_of(texts: Sequence[str]) -> Bool[np.ndarray, "kinds tokens"]:
    """Which tokens are of which of `KINDS`; a token may be of several, or of none."""
    return np.array([[is_one(text) for text in texts] for _, is_one in KINDS], dtype=bool)


def one_of(words: Sequence[str]) -> str:
    """``a, b or c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _several(count: int, noun: str) -> str:
    return "" if count == 0 else f"a {noun}" if count == 1 else f"{count} {noun}s"
