"""A text of the sample, a lane a level, with what each level says next."""

from __future__ import annotations

from typing import Any

from msae.analysis.levels.nest import NEST, NEST_LEVELS, right_shares
from msae_dashboards.address import Address
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.nest import shown
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import share
from msae_dashboards.view.nodes import Choice, Choices, Content, Paragraph, Stack, Text

HINT = (
    "A column a token, a lane a level: the latent that contributes most, and how many others fire. Filled: a "
    "parent fires on the same token (↑). Dashed: new at this level. Hatched: the parent is missing where a child that "
    "has absorbed it fires. Below: the next token as the model would have it with the levels up to that one alone"
)


def render(visit: Visit) -> Content:
    """One of the texts, which the address names."""
    tables = visit.tables
    n = n_texts(tables)
    number = min(max((visit.address.whole("text") or 1) - 1, 0), n - 1)
    rows = tables.rows(NEST.name, number, "text")
    choices = [Choice(str(place + 1), text_href(place), place == number) for place in range(n)]
    head = Stack([Choices(choices, "Texts"), Text(f"{rows[0]['why']} · {rows[0]['document']}", "value")], "nest-head")
    return [head, said(rows), shown.nest(tables, rows, visit.address.whole("level")), key(tables)]


def said(rows: list[dict[str, Any]]) -> Content:
    """How often every level is right about the next token of this text."""
    found = right_shares(rows)[1:]
    if not found:
        return None
    levels = " / ".join(share(each, 0) for each in found[:-1])
    return Paragraph(
        f"The next token is right with levels up to each: {levels}; the model: {share(found[-1], 0)}", "note"
    )


def key(tables: RunTables) -> Content:
    """What the figures of the whole sample say about the threads drawn."""
    if not tables.has(NEST_LEVELS.name):
        return None
    shares = [
        f"{share(row['inside'], 0)} of level {row['level']}'s firings are inside a parent "
        f"({share(row['null_inside'], 0)} were each text's tokens dealt out anew)"
        for row in tables.table(NEST_LEVELS.name).to_pylist()
        if row["inside"] is not None
    ]
    return Paragraph(f"On texts spaced evenly over the sample {'; '.join(shares)}.", "note") if shares else None


def n_texts(tables: RunTables) -> int:
    """How many texts there are; `MissingTableError` where there are none."""
    return int(tables.made(NEST.name, "texts", lambda table: max(table["text"].to_pylist(), default=-1) + 1))


def text_href(place: int) -> str:
    """The address of one of them."""
    return Address(query={"text": str(place + 1)} if place else {}).href


PANEL = Panel(
    name="nest-text",
    title="",
    about="run",
    needs=("features", NEST.name),
    render=render,
    hint=HINT,
)
