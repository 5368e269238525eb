"""Tables, and tokens in context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from markupsafe import Markup, escape

from msae_dashboards.address import feature_href
from msae_dashboards.view import nodes
from msae_dashboards.view.html.element import joined, tag
from msae_dashboards.view.html.text import anchor, hue
from msae_dashboards.view.html.writer import Writer, Writes
from msae_dashboards.view.visible import quoted, visible

NEAR, MIDDLE = 5, 16
"""How many tokens on either side show at the two shorter contexts."""


def _table(node: nodes.Table, write: Writer) -> Markup:
    heads = [
        tag("th", write(nodes.Term(column.name, column.meaning)), scope="col", class_="left" if column.left else "")
        for column in node.columns
    ]
    left = [column.left for column in node.columns]
    rows = [
        tag(
            "tr",
            *(tag("td", write(cell), class_="left" if texts else "") for cell, texts in zip(row, left, strict=True)),
        )
        for row in node.rows
    ]
    table = tag(
        "table", _caption(node.caption), tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="small-table"
    )
    return scrolling(table, node.caption)


def scrolling(table: Markup, label: str) -> Markup:
    """A table that scrolls by itself where the page is narrower: by keyboard too."""
    return tag("div", table, class_="scrolls", tabindex="0", role="group", aria_label=label)


def _caption(text: str) -> Markup:
    return tag("caption", text, class_="hidden")


def _heat_table(node: nodes.HeatTable, write: Writer) -> Markup:
    heads = [tag("th", write(column), scope="col") for column in node.columns]
    rows = [
        tag("tr", tag("th", write(name), scope="row"), *(_cell(cell, write) for cell in cells))
        for name, cells in node.rows
    ]
    table = tag(
        "table", _caption(node.caption), tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="found-again"
    )
    return scrolling(table, node.caption)


def _cell(cell: nodes.Cell, write: Writer) -> Markup:
    if cell.warmth is None:
        return tag("td")
    style = {"--s": round(cell.warmth, 2)}
    if cell.here or not cell.href:
        here = tag("span", cell.text, title=cell.meaning, aria_current="true" if cell.here else None)
        return tag("td", here, class_="on" if cell.here else "", style=style)
    return tag("td", anchor(write, cell.text, cell.href, title=cell.meaning), style=style)


def _index(node: nodes.Index, write: Writer) -> Markup:
    names = ["by-" + column.lower().replace(" ", "-") for column in node.columns]
    heads = [
        tag("th", tag("button", column, type="button", data_sort=name), scope="col", class_=name)
        for column, name in zip(node.columns, names, strict=True)
    ]
    rows = []
    for row in node.rows:
        cells = [
            tag("td", write(content), class_=name, data_value=None if value is None else f"{value:.6g}")
            for name, (content, value) in zip(names, row.cells, strict=True)
        ]
        rows.append(tag("tr", *cells, data_level=str(row.level), data_latent=str(row.latent)))
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), id="index")
    return scrolling(table, "Features")


def _strip(node: nodes.TokenStrip, write: Writer) -> Markup:
    """Tokens farther away than a shorter context shows are in parts of their own, which the style sheet hides."""
    parts = []
    for reach, tokens in groupby(enumerate(_tokens(node)), key=lambda token: _reach(token[0] - node.position)):
        written = "".join(text for _, text in tokens)
        parts.append(f'<span class="{reach}">{written}</span>' if reach else written)
    style = f' style="--m:{node.largest or 1:.4g}"' if any(value > 0 for value in node.values) else ""
    return Markup(f'<div class="strip" dir="ltr"{style}>{"".join(parts)}</div>')


CUT = "a context of the model begins here: it sees nothing before"


def _reach(distance: int) -> str:
    return "" if abs(distance) <= NEAR else "mid" if abs(distance) <= MIDDLE else "far"


def _tokens(node: nodes.TokenStrip) -> Iterator[str]:
    """Written without `tag`, since a page has thousands: a number and an escaped text is all that goes in."""
    for place, (text, number, value) in enumerate(zip(node.texts, node.ids, node.values, strict=True)):
        shown = visible(f"⟨{number}⟩" if text is None else text)
        shown = shown.replace("↵", "↵\n") if node.line_breaks else shown
        here = " class=here" if place == node.position else ""
        fires = f" data-v={value:.4g} style=--v:{value:.4g}" if value > 0 else ""
        last = _specials(node, place + 1) if place + 1 == len(node.texts) else ""
        yield f"{_specials(node, place)}<i data-t={int(number)}{here}{fires}>{escape(shown)}</i>{last}"


def _specials(node: nodes.TokenStrip, place: int) -> str:
    """What stands before a token and is none of those with a row."""
    cut = tag("b", "┊", class_="cut", title=CUT) if place in node.cuts else ""
    special = [
        tag("b", visible(text), class_="special", title="no activation") for text in node.specials.get(place, ())
    ]
    return cut + joined(special)


def _example(node: nodes.Example, write: Writer) -> Markup:
    value = tag("span", node.value, class_="value", title=visible(node.where))
    return tag("div", value, write(node.strip), class_="example")


def _lines(node: nodes.Lines, write: Writer) -> Markup:
    lines = [
        tag("div", tag("span", tag("b", who), f" {does}", class_="who"), write(strip), class_="line")
        for who, does, strip in node.lines
    ]
    return tag("div", *lines, class_="absorbed", title=visible(node.meaning, longest=400))


def _controls(node: nodes.ContextControls, write: Writer) -> Markup:
    groups = [
        ("context", "Tokens of context on either side", [("5", "±5"), ("16", "±16"), ("full", "full")]),
        ("theme", "Colour scale", [("orange", "linear"), ("emerald", "log")]),
    ]
    written = [
        tag(
            "div",
            *(tag("button", label, type="button", data_set=name, data_value=value) for value, label in choices),
            role="group",
            class_=f"choice {name}",
            aria_label=title,
        )
        for name, title, choices in groups
    ]
    return tag("div", *written, class_="controls")


def _side_by_side(node: nodes.SideBySide, write: Writer) -> Markup:
    heads = [
        tag("th", "picked for", scope="col"),
        tag("th", "passage, coloured by the parent's activation", scope="col"),
    ]
    heads += [_latent(write, *latent) for latent in node.latents]
    bodies = []
    for picked_for, rows in node.groups:
        name = tag("th", tag("div", write(picked_for)), rowspan=str(len(rows)), scope="rowgroup")
        bodies.append(
            tag("tbody", *(_together(row, write, name if place == 0 else "") for place, row in enumerate(rows)))
        )
    table = tag("table", _caption(node.caption), tag("thead", tag("tr", *heads)), *bodies, class_="side-by-side")
    return scrolling(table, node.caption)


def _latent(write: Writer, latent: int, level: int, name: str) -> Markup:
    dot = tag("i", class_="dot hue", style=hue(level), title=f"level {level}")
    link = anchor(write, str(latent), feature_href(latent), class_="latent")
    shown = quoted(name)
    return tag("th", dot, link, tag("div", shown, title=shown), scope="col", class_="of-latent")


def _together(row: nodes.Together, write: Writer, name: Markup | str) -> Markup:
    passage = tag("td", write(row.strip), title=visible(row.where), class_="passage")
    cells = [
        tag("td")
        if cell is None
        else tag("td", cell[0], class_="fires chosen" if cell[2] else "fires", style={"--a": f"{cell[1]:.2f}"})
        for cell in row.cells
    ]
    return tag("tr", name, passage, *cells)


WRITERS: Mapping[type, Writes] = {
    nodes.Table: _table,
    nodes.HeatTable: _heat_table,
    nodes.Index: _index,
    nodes.TokenStrip: _strip,
    nodes.Example: _example,
    nodes.Lines: _lines,
    nodes.ContextControls: _controls,
    nodes.SideBySide: _side_by_side,
}
