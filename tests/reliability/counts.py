"""What a campaign found."""

from __future__ import annotations

from dataclasses import dataclass, field

KINDS = ("wrong", "lost", "left", "tracebacks")
"""Outputs that are not the right ones; files that were there and are gone or altered; what is left behind; tracebacks
and crashes."""


@dataclass
class Counts:
    """How many tries, how many of what was tried were refused, and what was bad, by kind."""

    tries: int = 0
    refused: int = 0
    bad: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def note(self, kind: str, what: str) -> None:
        """Something bad."""
        self.bad[kind].append(what)

    def __add__(self, other: Counts) -> Counts:
        bad = {kind: [*self.bad[kind], *other.bad[kind]] for kind in KINDS}
        return Counts(self.tries + other.tries, self.refused + other.refused, bad)

    def __str__(self) -> str:
        found = ", ".join(f"{len(found)} {kind}" for kind, found in self.bad.items())
        return f"{self.tries} tries, {self.refused} refused, {found}"

    @property
    def first(self) -> str:
        """What was bad, the first of it."""
        return "\n".join([str(self), *[what for found in self.bad.values() for what in found][:20]])

    @property
    def is_clean(self) -> bool:
        """Whether nothing was bad."""
        return not any(self.bad.values())
