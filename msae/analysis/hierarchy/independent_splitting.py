"""Splitting between SAEs that were trained apart, the narrow one's latents as parents: what nesting is compared with.

The same edges, measures and null as `Splitting`. What differs is what a child can be: in a nested SAE it is a latent
that a level *adds*, here any latent of the wider SAE, one that stands for the very same thing as its parent included.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from msae.analysis.hierarchy.splitting import ALL_LATER, SPLITTING, SPLITTING_LEVELS, split, split_columns
from msae.analysis.measurement import Figure, Result
from msae.analysis.sample import JoinedCodes
from msae.analysis.tables import Column, make_table

NAME = "splitting_independent"

_MEANINGS = {
    "parent": "number of the parent in its own SAE, the narrower one",
    "parent_level": "which SAE that is: 0 is the narrowest",
    "child_level": "which SAE the children are latents of, a wider one",
    "n_children": "children: latents c of the wider SAE with P(parent | c) at least the setting `conditional`, "
    "significant as an edge of the tree is",
    "children": "their numbers in their own SAE",
    "n_parents": "latents of the narrower SAE that fire often enough",
    "edges": "edges between the two SAEs",
}


def _described(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(replace(column, meaning=_MEANINGS.get(column.name, column.meaning)) for column in columns)


SPLITTING_INDEPENDENT = _described(SPLITTING)
SPLITTING_INDEPENDENT_LEVELS = _described(SPLITTING_LEVELS)


def splitting_independent(saes: JoinedCodes, conditional: float = 0.8) -> Result:
    """Tables ``splitting_independent`` (a parent and a wider SAE) and ``splitting_independent_levels`` (two SAEs).

    `saes`: the narrowest first. `conditional`: the least P(parent | child) of an edge, as in `Splitting`.
    """
    rows, levels = split(saes, conditional)
    rows = [row for row in rows if row["child_level"] != ALL_LATER]
    for row in rows:
        row["parent"] = int(saes.own_number(np.array([row["parent"]]))[0])
        row["children"] = saes.own_number(row["children"])
    summary: dict[str, Figure] = {
        "widths": ", ".join(map(str, saes.widths)),
        "conditional": conditional,
        "null_model": saes.null_model,
        "n_tokens": saes.codes.n_rows,
    }
    return Result(
        tables={
            NAME: make_table(
                SPLITTING_INDEPENDENT, split_columns(rows), summary, row="a latent of a narrower SAE and a wider SAE"
            ),
            f"{NAME}_levels": make_table(SPLITTING_INDEPENDENT_LEVELS, levels, summary, row="two SAEs trained apart"),
        },
        summary=summary,
    )
