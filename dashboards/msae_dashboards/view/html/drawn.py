"""What is drawn: histograms, figures, maps, bars."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from msae.plots.theme import template
from msae_dashboards.view import nodes
from msae_dashboards.view.figures import short
from msae_dashboards.view.html.element import embedded_json, tag
from msae_dashboards.view.html.text import anchor, hue
from msae_dashboards.view.html.writer import Writer, Writes
from msae_dashboards.view.ticks import ticks

LEAST = 0.8
"""Of the tallest bar's height, in percent: what a bin with anything in it has at least."""
NAMED = 0.05
"""Share of a partition from which on a segment has its name on it."""


def _histogram(node: nodes.Histogram, write: Writer) -> Markup:
    """Of plain elements: a page with these alone needs no plotting library and is drawn as it is read."""
    n, low, high = max(len(node.counts), 1), node.low, node.high
    tallest, width = max(max(node.counts, default=0), 1), (high - low) / n
    bars = []
    for place, count in enumerate(node.counts):
        middle = low + width * (place + 0.5)
        label = f"{middle:.3g} ± {width / 2:.2g}: {count:,} {node.what}"
        height = max(100 * count / tallest, LEAST) if count else 0.0
        below = "below" if node.signed and middle < 0 else ""
        bars.append(tag("i", class_=below, style={"--h": f"{height:.3g}"}, data_label=label))
    marks = [_mark("y", 100 * y / tallest, short(y)) for y in ticks(0.0, float(tallest), 4) if y.is_integer()]
    marks += [_mark("x", _place(x, low, high), f"{x:.6g}") for x in ticks(low, high, 5)]
    marks += [_mark("zero", _place(0.0, low, high))] if node.signed and low < 0 < high else []
    units = [tag("span", node.axis, class_="axis"), tag("span", node.what, class_="count-of")] if node.axis else []
    return tag(
        "div", *marks, *units, tag("div", *bars, class_="bars"), class_="histogram", role="img", aria_label=node.label
    )


def _mark(kind: str, place: float, label: str = "") -> Markup:
    return tag("span", class_=kind, style={"--at": f"{place:.4g}"}, data_label=label)


def _place(x: float, low: float, high: float) -> float:
    return 100 * (x - low) / (high - low) if high > low else 0.0


def _figure(node: nodes.Figure, write: Writer) -> Markup:
    """Its data, for a script to draw. The template that all figures share is in that script."""
    write.figures += 1
    figure = node.drawn.to_plotly_json()
    layout = {**figure["layout"], "height": node.height}
    if node.drawn.layout.template == template():
        layout.pop("template", None)
    # The place is kept, so that what stands below does not jump when the figure comes.
    height = {"height": f"{node.height}px"}
    plot = tag("div", embedded_json({"data": figure["data"], "layout": layout}), class_="plot", style=height)
    return tag(
        "div", plot, class_="figure", role="img", aria_label=node.label, style={"min-height": f"{node.height}px"}
    )


def _logits(node: nodes.LogitList, write: Writer) -> Markup:
    items = [
        tag(
            "li",
            write(nodes.TokenChip(token, f"id {token_id}", token_id)),
            tag("span", value, class_="value", style={"--a": f"{0.1 + 0.6 * strength:.2f}"}),
        )
        for token, token_id, value, strength in node.entries
    ]
    return tag("ol", *items, class_=f"logit-list {node.side}")


def _treemap(node: nodes.Treemap, write: Writer) -> Markup:
    boxes = [_box(box, write) for box in node.boxes]
    return tag("div", *boxes, class_="treemap", style={"height": f"{node.height:.0f}px"})


def _box(box: nodes.MapBox, write: Writer) -> Markup:
    style = {
        "left": f"{box.left:.2f}%",
        "top": f"{box.top:.0f}px",
        "width": f"{box.width:.2f}%",
        "height": f"{box.height:.0f}px",
    }
    if box.level is None:
        kind = "box more"
    else:
        kind = "box hue open" if box.open else "box hue"
        style |= {**hue(box.level), "--s": f"{round(box.strength, 2)}"}
    return anchor(write, write(box.content), box.href, class_=kind, style=style, title=box.meaning)


def _partition(node: nodes.Partition, write: Writer) -> Markup:
    parts = []
    for segment in node.segments:
        if segment.level is None:
            name = segment.name if segment.share >= 2 * NAMED else ""
            parts.append(tag("span", name, class_="segment alone", title=segment.meaning))
        else:
            name = segment.name if segment.share >= NAMED else ""
            style = {"width": f"{100 * segment.share:.2f}%", **hue(segment.level)}
            parts.append(tag("span", name, class_="segment hue", style=style, title=segment.meaning))
    return tag("div", *parts, class_="partition", role="img", aria_label=node.label)


WRITERS: Mapping[type, Writes] = {
    nodes.Histogram: _histogram,
    nodes.Figure: _figure,
    nodes.LogitList: _logits,
    nodes.Treemap: _treemap,
    nodes.Partition: _partition,
}
