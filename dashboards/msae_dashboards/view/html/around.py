"""What is around panels: boxes, links through a page's states, controls, and the page itself."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from msae_dashboards.view import controls, nodes
from msae_dashboards.view.html.element import joined, script_json, tag
from msae_dashboards.view.html.text import anchor
from msae_dashboards.view.html.writer import Writer, Writes
from msae_dashboards.view.visible import visible


def _box(node: nodes.Box, write: Writer) -> Markup:
    heading = tag("h2", write(node.title)) if node.title else ""
    hint = tag("p", node.hint, class_="hint") if node.hint else ""
    return tag("section", heading, hint, write(node.parts), class_=f"panel {node.name}", aria_label=node.label)


def _choices(node: nodes.Choices, write: Writer) -> Markup:
    links = [
        tag("span", write(choice.content), class_="step on", aria_current="true")
        if choice.here
        else anchor(write, write(choice.content), choice.href, class_="step")
        for choice in node.choices
    ]
    return tag("nav", *links, class_="steps", aria_label=node.label)


def _move(node: nodes.Move, write: Writer) -> Markup:
    reference = None if node.href is None else write.href(node.href)
    if reference is None:
        return tag("span", node.label, class_="move off")
    return tag("a", node.label, href=reference, class_=f"move {node.name}".strip())


def _random(node: nodes.Random, write: Writer) -> Markup:
    among = [reference for href in node.among if (reference := write.href(href)) is not None]
    where = {"data_random": write.href(node.href)} if node.href else {"data_among": script_json(among)}
    return tag("button", "random", type="button", class_="move random", **where)


def _moves(node: nodes.Moves, write: Writer) -> Markup:
    return tag("nav", write(node.moves), class_="moves", aria_label=node.label)


def _body(node: nodes.Body, write: Writer) -> Markup:
    name = tag("span", node.name, class_="name") if node.name else ""
    title = tag("h1", node.title, " " if node.name else "", name)
    header = tag("header", title, write(node.head))
    return tag("div", header, write(node.parts), class_=f"page {node.kind}".strip())


def _labelled(label: str, control: object, kind: str = "") -> Markup:
    return tag("label", tag("span", label, class_="label"), control, class_=f"filter {kind}".strip())


def _grouped(label: str, *parts: object, kind: str = "") -> Markup:
    legend = tag("legend", label, class_="label")
    return tag("fieldset", legend, *parts, class_=f"filter {kind}".strip())


def _text_field(node: controls.TextField, write: Writer) -> Markup:
    if node.rows > 1:
        field = tag(
            "textarea",
            # A line feed right after the tag is not part of the text, so that one is given away.
            "\n" + node.value,
            name=node.name,
            rows=str(node.rows),
            placeholder=node.placeholder,
            spellcheck="false",
        )
    else:
        field = tag(
            "input", type="search", name=node.name, value=node.value, placeholder=node.placeholder, autocomplete="off"
        )
    return _labelled(node.label, field, "wide" if node.wide else "")


def _range_field(node: controls.RangeField, write: Writer) -> Markup:
    fields = [
        tag(
            "input",
            type="number",
            step="any",
            min="0",
            name=f"{node.name}_{end}",
            value=None if value is None else f"{value:g}",
            placeholder=end,
            aria_label=f"{node.label}, {'least' if end == 'min' else 'most'}",
        )
        for end, value in (("min", node.least), ("max", node.most))
    ]
    return _grouped(node.label, tag("div", *fields, class_="range"))


def _several(node: controls.Several, write: Writer) -> Markup:
    boxes = [
        tag(
            "label",
            tag("input", type="checkbox", name=node.name, value=value, checked=value in node.chosen),
            tag("span", write(shown)),
        )
        for value, shown in node.options
    ]
    return _grouped(node.label, tag("div", *boxes, class_="choice"))


def _one_of(node: controls.OneOf, write: Writer) -> Markup:
    chosen = node.chosen if any(value == node.chosen for value, _ in node.options) else node.options[0][0]
    buttons = [
        tag(
            "label",
            tag("input", type="radio", name=node.name, value=value, checked=value == chosen),
            tag("span", shown),
        )
        for value, shown in node.options
    ]
    return _grouped(node.label, tag("div", *buttons, class_="choice"))


def _slider(node: controls.Slider, write: Writer) -> Markup:
    marks = [
        tag("span", f"{mark:g}{node.unit}", style={"--at": f"{100 * (mark - node.low) / (node.high - node.low):.4g}"})
        for mark in node.marks
    ]
    field = tag(
        "input",
        type="range",
        name=node.name,
        min=f"{node.low:g}",
        max=f"{node.high:g}",
        step=f"{node.step:g}",
        value=f"{node.value:g}",
    )
    return _labelled(node.label, joined([field, tag("span", *marks, class_="marks", aria_hidden="true")]), "slider")


def _controls(node: controls.Controls, write: Writer) -> Markup:
    return tag("form", write(node.parts), class_="filters", role="search" if node.search else None)


def _place(node: controls.Place, write: Writer) -> Markup:
    return tag("div", write(node.parts), id=node.id, class_=node.kind, aria_live="polite" if node.spoken else None)


def _pick_list(node: controls.PickList, write: Writer) -> Markup:
    rows = []
    for row in node.rows:
        button = tag(
            "button",
            type="button",
            class_="pick-latent",
            title="colour the text by it, and steer it",
            data_latent=str(row.latent),
            aria_pressed="true" if row.chosen else "false",
            aria_label=f"choose {row.latent}",
        )
        rows.append(tag("li", button, write(row.link), write(row.figure), class_="on" if row.chosen else ""))
    return tag("ul", *rows, class_="ranking") if rows else Markup("")


def _pick_token(node: controls.PickToken, write: Writer) -> Markup:
    return tag("div", write(node.strip), class_="pick", tabindex="0", role="group", aria_label=node.label)


def _token_step(node: controls.TokenStep, write: Writer) -> Markup:
    if node.token is None:
        return tag("span", node.label, class_="move off")
    return tag("button", node.label, type="button", class_=f"move {node.name}", data_token=str(node.token))


def _progress(node: controls.Progress, write: Writer) -> Markup:
    bar = tag("div", style={"width": f"{100 * node.done:.0f}%"})
    kind = "progress done" if node.done >= 1 else "progress"
    now = f"{100 * node.done:.0f}"
    return tag("div", bar, class_=kind, role="progressbar", aria_label=node.label, aria_valuenow=now)


def _written(node: controls.WrittenText, write: Writer) -> Markup:
    tokens = [
        tag("i", visible(text).replace("↵", "↵\n"), class_="differs" if place == node.differs_at else "")
        for place, text in enumerate(node.texts)
    ]
    return tag("div", *tokens, class_="strip written", dir="ltr")


WRITERS: Mapping[type, Writes] = {
    nodes.Box: _box,
    nodes.Choices: _choices,
    nodes.Move: _move,
    nodes.Random: _random,
    nodes.Moves: _moves,
    nodes.Body: _body,
    controls.TextField: _text_field,
    controls.RangeField: _range_field,
    controls.Several: _several,
    controls.OneOf: _one_of,
    controls.Slider: _slider,
    controls.Controls: _controls,
    controls.Place: _place,
    controls.PickList: _pick_list,
    controls.PickToken: _pick_token,
    controls.TokenStep: _token_step,
    controls.Progress: _progress,
    controls.WrittenText: _written,
}
