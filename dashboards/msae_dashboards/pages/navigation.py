"""Links through a page's states: to what comes before and after, and to the levels it is kept to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msae_dashboards.address import absorption_href, feature_href, splitting_href, tree_href
from msae_dashboards.data.tables import RunTables
from msae_dashboards.view.nodes import Choice, Choices, Content, LevelChip, Link, Move, Stack, Text


def previous_next(before: str | None, after: str | None) -> list[Move]:
    """Links to the addresses before and after; None: there is none."""
    return [Move("← previous", before, "previous"), Move("next →", after, "next")]


def level_choices(levels: Sequence[int], kept: int | None, href: Callable[[str], str], *, label: str) -> Choices:
    """All levels, or one of them: `href` gives the address for the text of a level, or for none."""
    choices = [Choice("all levels", href(""), kept is None)]
    choices += [Choice(LevelChip(level), href(str(level)), level == kept) for level in levels]
    return Choices(choices, label)


def tabs(tables: RunTables, latent: int, here: str) -> Choices | None:
    """The pages about one latent that there are, of which `here` is one; nothing where there is no other."""
    pages = (
        ("feature", "Feature", feature_href(latent), True),
        ("tree", "Branch", tree_href(latent), tables.has("tree")),
        ("splitting", "Split", splitting_href(latent), tables.has("splitting")),
        ("absorption", "Absorbed by", absorption_href(latent), tables.has("absorption")),
    )
    choices = [Choice(title, href, name == here) for name, title, href, there in pages if there]
    return Choices(choices, "Pages about this feature") if len(choices) > 1 else None


def page_of(place: int, size: int) -> int:
    """The page, from 1 on, of a list in pages of `size`, on which the item at `place` stands."""
    return place // size + 1


def pager(page: int, size: int, total: int, href: Callable[[int], str]) -> Content:
    """Where in a list of `total` items a page stands, with links to the pages before and after; nothing where it is
    whole."""
    if total <= size:
        return None
    last = page_of(total - 1, size)
    shown = f"{(page - 1) * size + 1:,} – {min(page * size, total):,} of {total:,}"
    before = Link("‹ before", href(page - 1), "opens") if page > 1 else None
    after = Link("more ›", href(page + 1), "opens") if page < last else None
    return Stack([before, Text(shown, "value"), after], "pager")
