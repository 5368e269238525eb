"""What is typed into a search field: words, ``"exact tokens"``, ``logit:word`` and ``level:2``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from msae_dashboards.address import whole_number

PART = re.compile(r'(?:(logit|level):)?(?:"([^"]+)"|(\S+))')
SPACES = re.compile(r"␣×(\d{1,3})")
SHOWN = {"␣": " ", "↵": "\n", "␍": "\r", "⇥": "\t"}
"""Signs that stand for what cannot be seen: whoever types what a page shows finds it."""


@dataclass(frozen=True)
class Query:
    """All of it must be found, whatever its case. `words`: in a top token or the explanation; `exact`: as a whole top
    token; `logits`: in a token whose logit the latent raises most; `levels`: one of these is the latent's (none: any).
    """

    words: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    logits: tuple[str, ...] = ()
    levels: tuple[int, ...] = ()

    @classmethod
    def of(cls, text: str) -> Query:
        """From what was typed; a level that is no number is a word."""
        words, exact, logits, levels = [], [], [], []
        for kind, quoted, plain in PART.findall(text):
            wanted = meant(quoted or plain).lower()
            if kind == "logit":
                logits.append(wanted)
            elif kind == "level" and (level := whole_number(plain)) is not None:
                levels.append(level)
            elif quoted:
                exact.append(wanted)
            else:
                words.append(f"{kind}:{wanted}" if kind else wanted)
        return cls(tuple(words), tuple(exact), tuple(logits), tuple(levels))

    @property
    def looks_at_texts(self) -> bool:
        """Whether the texts of latents must be read."""
        return bool(self.words or self.exact or self.logits)


def meant(text: str) -> str:
    """Text as it is, of text as a page shows it: ``␣self`` begins with a space, ``␣×8`` is eight."""
    spaced = SPACES.sub(lambda match: " " * int(match[1]), text)
    return "".join(SHOWN.get(character, character) for character in spaced)
