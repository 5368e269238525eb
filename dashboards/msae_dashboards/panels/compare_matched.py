"""The latents of one side that are found again in the other, with both measures."""

from __future__ import annotations

from typing import Any

import numpy as np
from dash import html
from dash.development.base_component import Component

from msae.analysis.hierarchy.matching import BY_BOTH, BY_COSINE, BY_FIRING
from msae_dashboards.address import Address
from msae_dashboards.panels.compare_nearness import KINDS
from msae_dashboards.panels.compared import NO_MATCH, Compared
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import Content, number, share, small_table
from msae_dashboards.tables import RunTables

SHOWN, MORE = 12, 20


def render(tables: RunTables, address: Address) -> Component:
    """Those matched by both first, then by the cosine."""
    compared = Compared.of(tables, address)
    pairs = compared.pairs(tables)
    kinds = np.array(pairs["matched"].to_pylist(), dtype=object)
    order = {BY_BOTH: 0, BY_COSINE: 1, BY_FIRING: 2}
    rank = np.array([order.get(kind, 3) for kind in kinds], dtype=int)
    best = np.lexsort((-pairs["cosine"].to_numpy(), rank))
    best = best[: int((kinds != NO_MATCH).sum())]
    if len(best) == 0:
        return html.P("Not one latent of one side is found again in the other.", className="note")
    tokens = [compared.latents(tables, side).tokens_of() for side in (compared.a, compared.b)]
    rows = [_row(tables, compared, row, tokens) for row in pairs.take(best[: SHOWN + MORE]).to_pylist()]
    head: list[Content] = [
        compared.sides[compared.a].shown,
        html.Div(compared.sides[compared.b].shown, className="left"),
    ]
    head += [
        "matched",
        "cosine",
        "phi",
        "both fire",
        html.Abbr("only one", title="Tokens on which only one of both fires"),
    ]
    caption = "Latents found again"
    parts: list[Component] = [small_table(head, rows[:SHOWN], caption=caption)]
    if rows[SHOWN:]:
        left = len(best) - len(rows)
        said = html.Summary(f"{len(rows) - SHOWN} more" + (f" of {len(best) - SHOWN:,}" if left else ""))
        parts.append(
            html.Details([said, small_table(head, rows[SHOWN:], caption=f"{caption}, continued")], className="further")
        )
    return html.Div([html.P(f"{len(best):,} pairs.", className="note first"), *parts])


def _row(tables: RunTables, compared: Compared, row: dict[str, Any], tokens: list[dict]) -> list[Content]:
    a, b = row["latent_a"], row["latent_b"]
    either = row["n_a"] + row["n_b"] - row["together"]
    return [
        compared.named(tables, compared.a, a, tokens[0].get(a, ())),
        html.Div(compared.named(tables, compared.b, b, tokens[1].get(b, ())), className="left"),
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
