"""Where to go from here: a feature that splits, one that is absorbed, one that is easily recognised."""

from __future__ import annotations

import numpy as np

from msae.analysis.tables import Status
from msae_dashboards.address import absorption_href, features_href, prompt_href, splitting_href
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.latents import linked
from msae_dashboards.pages.nest.shown import absorbing_pairs
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.pages.splitting.parents import all_later
from msae_dashboards.view.figures import share
from msae_dashboards.view.nodes import Content, Heading, Link, Paragraph, Stack

LEAST_F1 = 0.5


def render(visit: Visit) -> Content:
    """As many as the run has something for."""
    tables = visit.tables
    doors = [_split(tables), _absorption(tables), _recognised(tables)]
    if visit.among is None and tables.source["kind"] == "transformer_lens":
        what = Paragraph("Every level reads it, and each feature is a click away.", "note")
        doors.append(Stack([Heading(Link("A text of your own", prompt_href())), what], "door"))
    return Stack([door for door in doors if door], "doors")


def _split(tables: RunTables) -> Content:
    """The parent that its children share out most evenly, of those they cover by half or more."""
    if not tables.has("splitting"):
        return None
    table = all_later(tables)
    covered = np.flatnonzero(table["coverage"].to_numpy() >= 0.5)
    if not len(covered):
        return None
    row = table.slice(int(covered[np.argmax(table["entropy"].to_numpy()[covered])]), 1).to_pylist()[0]
    what = f"{2 ** row['entropy']:.0f} children share out {share(row['coverage'], 0)} of its tokens"
    return _door("A feature that splits", linked(tables, row["parent"], href=splitting_href(row["parent"])), what)


def _absorption(tables: RunTables) -> Content:
    """The absorbing pair with the largest hole."""
    rows = [row for parents in absorbing_pairs(tables).values() for row in parents.values()]
    rows = [row for row in rows if row["status"] == Status.OK and row["hole"] is not None]
    if not rows:
        return Stack(
            [
                Heading("A feature that is absorbed"),
                Paragraph("None was found in this run, by both witnesses.", "note"),
            ],
            "door",
        )
    row = max(rows, key=lambda row: (row["hole"], -row["parent"]))
    href = absorption_href(row["parent"], row["child"])
    what = f"missing on {share(row['hole'], 0)} of the tokens of {row['child']}, beyond what their types make expect"
    return _door("A feature that is absorbed", linked(tables, row["parent"], href=href), what)


def _recognised(tables: RunTables) -> Content:
    """The latent of the best explanation."""
    features = tables.features()
    if not features.has_explanations:
        return None
    f1 = np.where(features.alive, np.nan_to_num(features.f1, nan=-1.0), -1.0)
    latent = int(f1.argmax())
    if f1[latent] < LEAST_F1:
        return _door("All features", Link("the feature browser", features_href()), "")
    return _door("A feature one recognises", linked(tables, latent), features.explanation[latent] or "")


def _door(title: str, link: Content, what: str) -> Content:
    return Stack([Heading(title), link, Paragraph(what, "note")], "door")


PANEL = Panel(
    name="nest-doors",
    title="Where to begin",
    about="run",
    needs=("features",),
    render=render,
)
