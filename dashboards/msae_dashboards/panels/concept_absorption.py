"""Absorption of labelled concepts, by every published definition, and which latent has absorbed which concept."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from dash import dcc, html
from dash.development.base_component import Component

from msae.analysis.concepts.concept_absorption_tables import ALL, CONCEPT_ABSORPTION, DEFINITIONS, THROUGH_THE_MODEL
from msae.analysis.tables import Status, sentence
from msae_dashboards.address import Address, feature_href
from msae_dashboards.panels.latent import linked
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import Content, level_chip, number, share, small_table
from msae_dashboards.tables import RunTables

LEVELS, CONCEPTS = "concept_absorption_levels", "concept_absorption"
SHOWN = 10
MEANING = CONCEPT_ABSORPTION["definition"].meaning


def render(tables: RunTables, address: Address) -> Component:
    """Mean rates by level and definition; then the concepts most of whose tokens another latent has taken over."""
    if not tables.has(LEVELS):
        return html.P(
            [
                "No labelled concepts were measured. ",
                html.Code(f"msae analyze {tables.run.path.name}", className="shell"),
                " measures them where the text is Python, or for labels of your own.",
            ],
            className="note",
        )
    parts: list[Component] = [_levels(tables.table(LEVELS))]
    if tables.has(CONCEPTS):
        parts.append(_worst(tables))
    return html.Div(parts)


def _levels(table: pa.Table) -> Component:
    found = {
        (row["level"], row["of_children"], row["definition"]): row for row in table.to_pylist() if row["family"] == ALL
    }
    through = [row for (_, of_children, name), row in found.items() if name == THROUGH_THE_MODEL and not of_children]
    measured = any(row["status"] == Status.OK for row in through)
    definitions = (*DEFINITIONS, THROUGH_THE_MODEL) if measured else DEFINITIONS
    head: list[Content] = ["level", "tokens of", html.Abbr("main latents", title="1, and no concept is split")]
    head += [html.Abbr(name.replace("_", " "), title=MEANING) for name in definitions]
    body: list[list[Content]] = []
    for level, of_children in sorted({(level, of) for level, of, _ in found}):
        own = [found.get((level, of_children, name)) for name in definitions]
        first = next(row for row in own if row is not None)
        what = "a concept below it" if of_children else "the concept"
        body.append([level_chip(level), what, number(first["n_main"], 1), *map(_rate, own)])
    table = small_table(head, body, caption="Absorption of labelled concepts, mean rates")
    if measured or not through:
        return table
    why = sentence(through[0]["status"]).removeprefix("n/a: ")
    if through[0].get("n_tried"):
        why += f": {through[0]['n_spelled']} of {through[0]['n_tried']}"
    return html.Div([table, html.P([html.Code(THROUGH_THE_MODEL), f" was not measured: {why}."], className="note")])


def _rate(row: dict[str, Any] | None) -> Content:
    if row is None or row["status"] != Status.OK:
        return "n/a" if row is None else sentence(row["status"]).partition(":")[0]
    return [
        number(row["rate"], 3),
        html.Span(f" ± {number(row['rate_error'], 3)}, chance {number(row['null_rate'], 3)}", className="spread"),
    ]


def _worst(tables: RunTables) -> Component:
    rows = [
        row
        for row in tables.table(CONCEPTS).to_pylist()
        if row["definition"] == DEFINITIONS[0] and row["status"] == Status.OK
    ]
    rows = [row for row in rows if row["absorber"] is not None and row["rate"] > (row["null_rate"] or 0.0)]
    rows.sort(key=lambda row: (-row["rate"], row["level"], row["concept"], row["child"] or ""))
    once: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in rows:
        once.setdefault((row["concept"], row["child"]), row)
    body: list[list[Content]] = [
        [
            html.Span([html.B(row["child"] or row["concept"]), *([f" of {row['concept']}"] if row["child"] else [])]),
            level_chip(row["level"]),
            [share(row["rate"], 0), html.Span(f" ± {100 * (row['rate_error'] or 0):.0f}", className="spread")],
            share(row["null_rate"] or 0.0, 0),
            f"{row['n_tokens']:,}",
            html.Span([dcc.Link(f"{latent} ", href=feature_href(latent)) for latent in row["main"] or ()]),
            html.Div(linked(tables, row["absorber"]), className="left"),
        ]
        for row in list(once.values())[:SHOWN]
    ]
    if not body:
        return html.P("No concept has been absorbed.", className="note")
    head: list[Content] = ["concept", "level", "absorbed", "by chance", "tokens", "main latents"]
    head.append(html.Div("absorbed by", className="left"))
    title = html.H3(
        "Concepts absorbed most: their main latents are off, and one other latent carries the probe's direction"
    )
    return html.Div([title, small_table(head, body, caption="Concepts absorbed most")])


PANEL = Panel(
    name="concept-absorption",
    title="Labelled concepts",
    about="run",
    needs=("features",),
    render=render,
    hint="On tokens of a concept that a linear probe on the activations finds",
)
