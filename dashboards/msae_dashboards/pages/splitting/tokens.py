"""A parent and its children side by side on the same tokens; last those that no child covers."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from msae.analysis.hierarchy.splitting_tokens import NO_CHILD
from msae_dashboards.data.feature_index import FeatureIndex
from msae_dashboards.pages.latents import latent_of
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.pages.passages import BORDERS, strip_of
from msae_dashboards.view.figures import number
from msae_dashboards.view.nodes import Content, Paragraph, SideBySide, Strong, Together, TokenChip

BEFORE, AFTER = 7, 3
"""Tokens just around, so that a row is a line or two."""
COLUMNS = 10


def render(visit: Visit) -> Content:
    """A row a token, a column a latent; tokens are grouped by the child they were picked for."""
    latent, features = latent_of(visit), visit.tables.features()
    rows = visit.tables.rows("splitting_tokens", latent, "parent")
    if not rows:
        return Paragraph("It has no children.", "note")
    groups = [(child, list(group)) for child, group in groupby(rows, key=lambda row: row["picked_for"])]
    columns = [child for child, _ in groups if child != NO_CHILD][:COLUMNS]
    latents = [(latent, int(features.level[latent]), "parent")]
    latents += [(child, int(features.level[child]), (features.top_tokens[child] or [""])[0]) for child in columns]
    shown = [
        (_name(features, child), [_row(features, row, columns, latent) for row in group])
        for child, group in groups
        if child in columns or child == NO_CHILD
    ]
    return SideBySide("Activations of a parent and its children on the same tokens", latents, shown)


def _name(features: FeatureIndex, child: int) -> Content:
    if child == NO_CHILD:
        return "no child"
    return [Strong(str(child)), [TokenChip(token) for token in features.top_tokens[child][:1]]]


def _row(features: FeatureIndex, row: dict[str, Any], columns: list[int], parent: int) -> Together:
    values = dict(zip(row["children"], row["child_values"], strict=True))
    cells = [_cell(row["parent_value"], features.max[parent], False)]
    cells += [_cell(values.get(child), features.max[child], child == row["picked_for"]) for child in columns]
    strip = strip_of(row, row["context_values"], features.max[parent], before=BEFORE, after=AFTER)
    return Together(strip, f"{row['document']}, token {row['offset']:,}", cells)


def _cell(value: float | None, largest: float, picked: bool) -> tuple[str, float, bool] | None:
    if not value:
        return None
    return number(value, 1), min(max(value / largest, 0.0), 1.0), picked


PANEL = Panel(
    name="splitting-tokens",
    title="Side by side on the same tokens",
    about="latent",
    needs=("features", "splitting_tokens"),
    render=render,
    hint="Of each child tokens evenly spaced in rank of its activation; last, tokens that no child covers. " + BORDERS,
)
