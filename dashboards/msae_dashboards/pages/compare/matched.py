"""The latents of one side that are found again in the other, with both measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from msae.analysis.hierarchy.matching import BY_BOTH, BY_COSINE, BY_FIRING
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.compare.compared import NO_MATCH, Compared
from msae_dashboards.pages.compare.nearness import KINDS
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number, share
from msae_dashboards.view.nodes import Content, Fold, Head, Paragraph, Table

SHOWN, MORE = 12, 20


def render(visit: Visit) -> Content:
    """Those matched by both first, then by the cosine."""
    compared, tables = Compared.of(visit), visit.tables
    pairs = compared.pairs(tables)
    kinds = np.array(pairs["matched"].to_pylist(), dtype=object)
    order = {BY_BOTH: 0, BY_COSINE: 1, BY_FIRING: 2}
    rank = np.array([order.get(kind, 3) for kind in kinds], dtype=int)
    best = np.lexsort((-pairs["cosine"].to_numpy(), rank))
    best = best[: int((kinds != NO_MATCH).sum())]
    if len(best) == 0:
        return Paragraph("Not one latent of one side is found again in the other.", "note")
    tokens = [compared.latents(tables, side).tokens_of() for side in (compared.a, compared.b)]
    rows = [_row(tables, compared, row, tokens) for row in pairs.take(best[: SHOWN + MORE]).to_pylist()]
    columns = [
        Head(compared.sides[compared.a].shown),
        Head(compared.sides[compared.b].shown, left=True),
        *(Head(name) for name in ("matched", "cosine", "phi", "both fire")),
        Head("only one", "Tokens on which only one of both fires"),
    ]
    caption = "Latents found again"
    parts: list[Content] = [Paragraph(f"{len(best):,} pairs.", "note first"), Table(caption, columns, rows[:SHOWN])]
    if rows[SHOWN:]:
        left = len(best) - len(rows)
        summary = f"{len(rows) - SHOWN} more" + (f" of {len(best) - SHOWN:,}" if left else "")
        parts.append(Fold(summary, Table(f"{caption}, continued", columns, rows[SHOWN:])))
    return parts


def _row(
    tables: RunTables, compared: Compared, row: dict[str, Any], tokens: Sequence[Mapping[int, Sequence[str]]]
) -> list[Content]:
    a, b = row["latent_a"], row["latent_b"]
    either = row["n_a"] + row["n_b"] - row["together"]
    return [
        compared.named(tables, compared.a, a, tokens[0].get(a, ())),
        compared.named(tables, compared.b, b, tokens[1].get(b, ())),
        KINDS[row["matched"]].removeprefix("matched "),
        number(row["cosine"], 2),
        number(row["phi"], 2),
        f"{row['together']:,}",
        f"{either - row['together']:,} ({share((either - row['together']) / either, 0)})",
    ]


PANEL = Panel(
    name="compare-matched",
    title="Latents found again",
    about="run",
    needs=("features", "level_pairs", "level_overlap"),
    render=render,
    hint="Each the other's nearest, beyond chance; those matched in direction and in firing first",
)
