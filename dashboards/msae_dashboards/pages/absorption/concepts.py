"""Absorption of labelled concepts, by every published definition, and which latent has absorbed which concept."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from msae.analysis.concepts.concept_absorption_tables import ALL, CONCEPT_ABSORPTION, DEFINITIONS, THROUGH_THE_MODEL
from msae.analysis.tables import Status, sentence
from msae_dashboards.address import feature_href
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.latents import linked
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number, share
from msae_dashboards.view.nodes import (
    Command,
    Content,
    Head,
    Heading,
    LevelChip,
    Link,
    Paragraph,
    Strong,
    Table,
    Text,
)

LEVELS, CONCEPTS = "concept_absorption_levels", "concept_absorption"
SHOWN = 10
MEANING = CONCEPT_ABSORPTION["definition"].meaning


def render(visit: Visit) -> Content:
    """Mean rates by level and definition; then the concepts most of whose tokens another latent has taken over."""
    tables = visit.tables
    if not tables.has(LEVELS):
        how: list[Content] = [
            "No labelled concepts were measured. ",
            Command(f"msae analyze {tables.run.path.name}"),
            " measures them where the text is Python, or for labels of your own.",
        ]
        return Paragraph(how, "note")
    return [*_levels(tables.table(LEVELS)), *(_worst(tables) if tables.has(CONCEPTS) else [])]


def _levels(table: pa.Table) -> list[Content]:
    found = {
        (row["level"], row["of_children"], row["definition"]): row for row in table.to_pylist() if row["family"] == ALL
    }
    through = [row for (_, of_children, name), row in found.items() if name == THROUGH_THE_MODEL and not of_children]
    measured = any(row["status"] == Status.OK for row in through)
    definitions = (*DEFINITIONS, THROUGH_THE_MODEL) if measured else DEFINITIONS
    columns = [Head("level"), Head("tokens of"), Head("main latents", "1, and no concept is split")]
    columns += [Head(name.replace("_", " "), MEANING) for name in definitions]
    body: list[list[Content]] = []
    for level, of_children in sorted({(level, of) for level, of, _ in found}):
        own = [found.get((level, of_children, name)) for name in definitions]
        first = next(row for row in own if row is not None)
        what = "a concept below it" if of_children else "the concept"
        body.append([LevelChip(level), what, number(first["n_main"], 1), *map(_rate, own)])
    table_of_levels = Table("Absorption of labelled concepts, mean rates", columns, body)
    if measured or not through:
        return [table_of_levels]
    why = sentence(through[0]["status"]).removeprefix("n/a: ")
    if through[0].get("n_tried"):
        why += f": {through[0]['n_spelled']} of {through[0]['n_tried']}"
    return [table_of_levels, Paragraph([Command(THROUGH_THE_MODEL), f" was not measured: {why}."], "note")]


def _rate(row: dict[str, Any] | None) -> Content:
    if row is None or row["status"] != Status.OK:
        return "n/a" if row is None else sentence(row["status"]).partition(":")[0]
    spread = f" ± {number(row['rate_error'], 3)}, chance {number(row['null_rate'], 3)}"
    return [number(row["rate"], 3), Text(spread, "spread")]


def _worst(tables: RunTables) -> list[Content]:
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
            [Strong(row["child"] or row["concept"]), f" of {row['concept']}" if row["child"] else None],
            LevelChip(row["level"]),
            [share(row["rate"], 0), Text(f" ± {100 * (row['rate_error'] or 0):.0f}", "spread")],
            share(row["null_rate"] or 0.0, 0),
            f"{row['n_tokens']:,}",
            [[Link(str(latent), feature_href(latent)), " "] for latent in row["main"] or ()],
            linked(tables, row["absorber"]),
        ]
        for row in list(once.values())[:SHOWN]
    ]
    if not body:
        return [Paragraph("No concept has been absorbed.", "note")]
    columns = [Head(name) for name in ("concept", "level", "absorbed", "by chance", "tokens", "main latents")]
    columns.append(Head("absorbed by", left=True))
    title = "Concepts absorbed most: their main latents are off, and one other latent carries the probe's direction"
    return [Heading(title), Table("Concepts absorbed most", columns, body)]


PANEL = Panel(
    name="concept-absorption",
    title="Labelled concepts",
    about="run",
    needs=("features",),
    render=render,
    hint="On tokens of a concept that a linear probe on the activations finds",
)
