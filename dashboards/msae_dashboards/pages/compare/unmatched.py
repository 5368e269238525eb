"""The latents of either side that have no counterpart in the other, those that fire most first."""

from __future__ import annotations

import numpy as np

from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.compare.compared import NO_MATCH, Compared
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number
from msae_dashboards.view.nodes import Content, Head, Heading, Paragraph, Stack, Table

SHOWN = 14


def render(visit: Visit) -> Content:
    """Two tables: of side a, of side b."""
    compared = Compared.of(visit)
    return Stack([Stack(_side(visit.tables, compared, which)) for which in ("a", "b")], "pair")


def _side(tables: RunTables, compared: Compared, which: str) -> list[Content]:
    side, other = (compared.a, compared.b) if which == "a" else (compared.b, compared.a)
    pairs, latents = compared.pairs(tables), compared.latents(tables, side)
    own = pairs[f"latent_{which}"].to_numpy()
    matched = np.unique(own[np.array(pairs["matched"].to_pylist(), dtype=object) != NO_MATCH])
    alone = np.flatnonzero(~np.isin(latents.number, matched))
    count = f" {len(alone):,} of {len(latents.number):,} live latents not found in "
    title = Heading([compared.sides[side].shown, count, compared.sides[other].shown])
    if len(alone) == 0:
        return [title, Paragraph("none", "note")]
    shown = alone[np.argsort(-latents.n_tokens[alone], kind="stable")][:SHOWN]
    cosine, phi = (
        _largest(
            own[pairs[f"{kind}_of_{which}"].to_numpy()], pairs[value].to_numpy()[pairs[f"{kind}_of_{which}"].to_numpy()]
        )
        for kind, value in (("nearest", "cosine"), ("partner", "phi"))
    )
    rows: list[list[Content]] = [
        [
            compared.named(tables, side, int(latents.number[place]), latents.tokens[place]),
            f"{latents.n_tokens[place]:,}",
            number(cosine.get(int(latents.number[place])), 2),
            number(phi.get(int(latents.number[place])), 2),
        ]
        for place in shown.tolist()
    ]
    columns = [
        Head("latent"),
        Head("fires on"),
        Head("cosine", "With the nearest of the other side"),
        Head("phi", "With the best partner of the other side"),
    ]
    return [title, Table("Latents without a counterpart", columns, rows)]


def _largest(latents: np.ndarray, values: np.ndarray) -> dict[int, float]:
    order = np.argsort(values, kind="stable")
    return dict(zip(latents[order].tolist(), values[order].tolist(), strict=True))


PANEL = Panel(
    name="compare-unmatched",
    title="Not found again",
    about="run",
    needs=("features", "level_pairs", "level_overlap"),
    render=render,
    hint="Those that fire on most tokens first; cosine and phi are those of the nearest of the other side",
)
