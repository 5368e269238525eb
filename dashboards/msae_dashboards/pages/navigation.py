"""Links through a page's states: to what comes before and after, and to the levels it is kept to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msae_dashboards.view.nodes import Choice, Choices, LevelChip, Move


def previous_next(before: str | None, after: str | None) -> list[Move]:
    """Links to the addresses before and after; None: there is none."""
    return [Move("← previous", before, "previous"), Move("next →", after, "next")]


def level_choices(levels: Sequence[int], kept: int | None, href: Callable[[str], str], *, label: str) -> Choices:
    """All levels, or one of them: `href` gives the address for the text of a level, or for none."""
    choices = [Choice("all levels", href(""), kept is None)]
    choices += [Choice(LevelChip(level), href(str(level)), level == kept) for level in levels]
    return Choices(choices, label)
