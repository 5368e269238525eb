"""What stands within lines, and texts."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

from msae.plots.colors import level_color
from msae_dashboards.address import feature_href
from msae_dashboards.view import nodes
from msae_dashboards.view.html.element import tag
from msae_dashboards.view.html.writer import Writer, Writes
from msae_dashboards.view.visible import quoted, visible

CHIPS = 3
"""Tokens in a link to a latent."""


def hue(level: int) -> dict[str, str]:
    """The style that gives an element of class ``hue`` its level's colour."""
    return {"--level": level_color(level)}


def anchor(write: Writer, inside: object, href: str, **attributes: object) -> Markup:
    """A link, or, where its address is not to be had, a span that looks like it."""
    reference = write.href(href)
    if reference is None:
        return tag("span", inside, **attributes)
    return tag("a", inside, href=reference, **attributes)


def _strong(node: nodes.Strong, write: Writer) -> Markup:
    return tag("b", write(node.content))


def _text(node: nodes.Text, write: Writer) -> Markup:
    return tag("span", write(node.content), class_=node.kind, title=node.meaning)


def _term(node: nodes.Term, write: Writer) -> Markup:
    return tag("abbr", write(node.name), title=node.meaning) if node.meaning else write(node.name)


def _command(node: nodes.Command, write: Writer) -> Markup:
    return tag("pre", node.text, class_="command") if node.alone else tag("code", node.text, class_="shell")


def _link(node: nodes.Link, write: Writer) -> Markup:
    return anchor(write, write(node.content), node.href, class_=node.kind, title=node.meaning)


def _level(node: nodes.LevelChip, write: Writer) -> Markup:
    chip = tag("span", f"L{node.level}", class_="chip hue", style=hue(node.level), title=f"level {node.level}")
    return anchor(write, chip, node.href, class_="chip-link", title=node.meaning) if node.href else chip


def _token(node: nodes.TokenChip, write: Writer) -> Markup:
    shown = f"⟨{node.id}⟩" if node.text is None else quoted(node.text)
    return tag("code", shown, class_="token", title=node.meaning)


def _tokens(node: nodes.Tokens, write: Writer) -> Markup:
    return tag("p" if node.wrapped else "span", write(node.chips), class_="tokens")


def _feature(node: nodes.FeatureLink, write: Writer) -> Markup:
    if node.own:
        number = anchor(write, str(node.latent), node.href or feature_href(node.latent), class_="latent")
    else:
        number = tag("b", str(node.latent), class_="latent")
    chip = None if node.level is None else nodes.LevelChip(node.level)
    chips = nodes.Tokens([nodes.TokenChip(token) for token in node.tokens[:CHIPS]])
    return tag("span", number, write(chip), write(chips), class_="feature-link" + ("" if node.own else " other"))


def _meter(node: nodes.Meter, write: Writer) -> Markup:
    value = node.value if node.value is not None and math.isfinite(node.value) else 0.0
    filled = round(min(max(value, 0.0), 1.0), 3)
    return tag("span", node.text, class_="meter", style={"--v": filled}, title=node.meaning)


def _shade(node: nodes.Shade, write: Writer) -> Markup:
    style = {"--a": f"{min(max(node.strength, 0.0), 1.0):.2f}"}
    return tag("span", node.text, class_="value heat", style=style, title=node.meaning)


def _heading(node: nodes.Heading, write: Writer) -> Markup:
    return tag("h3", write(node.content))


def _paragraph(node: nodes.Paragraph, write: Writer) -> Markup:
    return tag("p", write(node.content), class_=node.kind)


def _notice(node: nodes.Notice, write: Writer) -> Markup:
    command = tag("pre", node.command, class_="command") if node.command else ""
    said = tag("p", write(node.content))
    return tag("div", said, command, class_="notice", role="alert" if node.urgent else "note")


def _quotation(node: nodes.Quotation, write: Writer) -> Markup:
    return tag("blockquote", write(node.content), tag("footer", write(node.source)), class_="explanation")


def _stack(node: nodes.Stack, write: Writer) -> Markup:
    return tag("div", write(node.parts), class_=node.kind)


def _fold(node: nodes.Fold, write: Writer) -> Markup:
    return tag("details", tag("summary", node.summary), write(node.parts), class_="further")


def _terms(node: nodes.Terms, write: Writer) -> Markup:
    parts = []
    for name, content in node.entries:
        whole = content if isinstance(content, str) else ""
        parts += [tag("dt", name), tag("dd", write(content), title=whole)]
    return tag("dl", *parts, class_="terms")


def _figures(node: nodes.Figures, write: Writer) -> Markup:
    cells = [
        tag("div", tag("dt", name, title=meaning), tag("dd", write(value))) for name, value, meaning in node.entries
    ]
    return tag("dl", *cells, class_="figures")


def _ranking(node: nodes.Ranking, write: Writer) -> Markup:
    if not node.entries:
        return tag("p", "none", class_="note")
    items = [
        tag("li", write(link), tag("span", value, class_="value", title=meaning))
        for link, value, meaning in node.entries
    ]
    unit = tag("p", node.unit, class_="unit") if node.unit else Markup("")
    return unit + tag("ul", *items, class_="ranking", aria_label=node.label)


def _picks(node: nodes.Picks, write: Writer) -> Markup:
    if not node.items:
        return tag("p", "none", class_="note")
    items = [
        tag("li", write(item.parts), class_="on" if item.here else "", aria_current="true" if item.here else None)
        for item in node.items
    ]
    return tag("ol", *items, class_="picks")


def _outline(node: nodes.Outline, write: Writer) -> Markup:
    if not node.branches:
        return tag("p", "none", class_="note")
    return tag(
        "ul", *(_branch(each, write) for each in node.branches), class_="outline whole" if node.whole else "outline"
    )


def _branch(node: nodes.Branch, write: Writer) -> Markup:
    row = write(node.row)
    if not node.below:
        return tag("li", row, class_="leaf")
    below = tag("ul", *(_branch(each, write) for each in node.below))
    # The row stands next to the summary, not in it: links in a button could not be told from it.
    arrow = tag("summary", aria_label=f"{len(node.below)} below")
    return tag("li", tag("div", row, class_="branch"), tag("details", arrow, below, open=node.opened))


def where_from(text: str) -> str:
    """Where a passage is from, every character visible."""
    return visible(text)


WRITERS: Mapping[type, Writes] = {
    nodes.Strong: _strong,
    nodes.Text: _text,
    nodes.Term: _term,
    nodes.Command: _command,
    nodes.Link: _link,
    nodes.LevelChip: _level,
    nodes.TokenChip: _token,
    nodes.Tokens: _tokens,
    nodes.FeatureLink: _feature,
    nodes.Meter: _meter,
    nodes.Shade: _shade,
    nodes.Heading: _heading,
    nodes.Paragraph: _paragraph,
    nodes.Notice: _notice,
    nodes.Quotation: _quotation,
    nodes.Stack: _stack,
    nodes.Fold: _fold,
    nodes.Terms: _terms,
    nodes.Figures: _figures,
    nodes.Ranking: _ranking,
    nodes.Picks: _picks,
    nodes.Outline: _outline,
}
