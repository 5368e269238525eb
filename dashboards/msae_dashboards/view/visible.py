"""Token text as a reader sees it: every character shows, and none reaches beyond its token."""

from __future__ import annotations

import re
import unicodedata

LONGEST, LONGEST_QUOTED = 120, 40
NAMED = {"\n": "↵", "\r": "␍", "\t": "⇥"}
JOINER, VARIATION = "\u200d", "\ufe0f"


def visible(text: str, *, longest: int = LONGEST) -> str:
    """`text` with newlines as ↵, other characters that have no shape as ⟨200B⟩, and cut after `longest` characters.

    A joiner between two other characters stays, as in the emoji of a family, which it makes one.
    """
    if len(text) <= longest and text.isprintable():
        return text
    cut = text if len(text) <= longest else text[:longest]
    shown = "".join(_shape(character, cut, place) for place, character in enumerate(cut))
    return shown if cut is text else f"{shown}… ({len(text):,} characters)"


def quoted(text: str) -> str:
    """`text` for a list of tokens, where spaces at an end would not be seen: each is shown as ␣, more than three as
    ␣×n; so is the empty text, as ∅."""
    shown = visible(text, longest=LONGEST_QUOTED)
    return re.sub(r"(?<=[↵␍⇥]) +|^ +| +$", lambda spaces: _spaces(len(spaces[0])), shown) or "∅"


def _spaces(n: int) -> str:
    return "␣" * n if n <= 3 else f"␣×{n}"


def _shape(character: str, text: str, place: int) -> str:
    if character in NAMED:
        return NAMED[character]
    if character == JOINER and 0 < place < len(text) - 1:
        return character
    if unicodedata.category(character) in ("Cc", "Cf", "Co", "Cn", "Zl", "Zp"):
        return f"⟨{ord(character):04X}⟩"
    return character
