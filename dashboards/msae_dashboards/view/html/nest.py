"""A text at every level: a column a token, a lane a level, and what each level says next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from msae_dashboards.view import nodes
from msae_dashboards.view.html.element import script_json, tag
from msae_dashboards.view.html.text import anchor, hue
from msae_dashboards.view.html.writer import Writer, Writes
from msae_dashboards.view.visible import quoted

LONGEST_LINE = 10
FULL = 3.0
"""Nats gained at which a token has the full colour."""


def _nest(node: nodes.Nest, write: Writer) -> Markup:
    told = any(gain is not None for token in node.tokens for gain in token.gains)
    slider = _slider(node) if told and node.n_levels > 1 else Markup("")
    lines = [_line(node, line, write) for line in _lines(node.tokens)]
    return tag("div", slider, *lines, class_="nest", role="group", aria_label=node.label, data_full=str(FULL))


def _slider(node: nodes.Nest) -> Markup:
    level = tag("output", f"L{node.level}")
    control = tag(
        "input", type="range", min="0", max=str(node.n_levels - 1), step="1", value=str(node.level), class_="nest-level"
    )
    return tag("label", tag("span", "Colour: nats gained by adding level"), control, level, class_="nest-slider")


def _lines(tokens: Sequence[nodes.NestToken]) -> Iterator[list[nodes.NestToken]]:
    """Lines of the text, none longer than fits a screen."""
    line: list[nodes.NestToken] = []
    for token in tokens:
        if line and (token.cut or len(line) == LONGEST_LINE):
            yield line
            line = []
        line.append(token)
        if "\n" in token.text:
            yield line
            line = []
    if line:
        yield line


def _line(node: nodes.Nest, line: Sequence[nodes.NestToken], write: Writer) -> Markup:
    names = [tag("span", f"L{level}", class_="lane hue", style=hue(level)) for level in range(node.n_levels)]
    names += [tag("span", view, class_="says") for view in node.views]
    head = tag("div", tag("span", class_="word"), *names, class_="nest-names", aria_hidden="true")
    return tag("div", head, tag("ol", *(_token(node, token, write) for token in line)), class_="nest-line")


def _token(node: nodes.Nest, token: nodes.NestToken, write: Writer) -> Markup:
    gain = token.gains[node.level] if token.gains else None
    gains = script_json([None if each is None else round(each, 2) for each in token.gains]) if token.gains else None
    word = tag(
        "code",
        quoted(token.text),
        class_="word" + (" cut" if token.cut else "") + (" loses" if (gain or 0.0) < 0 else ""),
        title=token.meaning,
        style={"--g": f"{min(abs(gain or 0.0) / FULL, 1.0):.2f}"},
        data_gains=gains,
    )
    lanes = [_lane(level, cell, holes, write) for level, (cell, holes) in enumerate(token.lanes)]
    said = [_said(view, *each) for view, each in zip(node.views, token.said, strict=True)] if token.said else []
    return tag("li", word, *lanes, *said)


def _lane(level: int, cell: nodes.NestCell | None, holes: Sequence[nodes.NestHole], write: Writer) -> Markup:
    parts = [
        anchor(write, f"{hole.parent} ← {hole.child}", hole.href, class_="hole", title=hole.meaning)
        for hole in holes[:1]
    ]
    if cell is not None:
        inside = [tag("b", str(cell.latent)), " ", quoted(cell.text)]
        inside += [tag("small", f" ↑{cell.parent}")] if cell.parent is not None else []
        inside += [tag("small", f" +{cell.more}")] if cell.more else []
        parts.append(anchor(write, Markup("").join(inside), cell.href, class_=f"cell {cell.kind}", title=cell.meaning))
    return tag("div", *parts, class_="lane hue", style=hue(level))


def _said(view: str, text: str, right: bool | None) -> Markup:
    follows = "" if right is None else ", right" if right else ", wrong"
    return tag("code", quoted(text), class_="says" + (" right" if right else ""), title=f"{view} says next{follows}")


WRITERS: Mapping[type, Writes] = {nodes.Nest: _nest}
