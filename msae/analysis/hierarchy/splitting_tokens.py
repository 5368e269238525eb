"""Tokens of a parent with its children: some that each child takes, and some that no child covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from msae.analysis.sample import CodeTable, Collected
from msae.analysis.sample.code_table import evenly
from msae.analysis.sample.passages import PASSAGE, Passages
from msae.analysis.tables import Column, TableSpec, lists, make_table

NO_CHILD = -1

SPLITTING_TOKENS = TableSpec(
    "splitting_tokens",
    "a token of a parent, with the children that fire there",
    Column("parent", pa.int32(), "number of the parent, which fires on the token"),
    Column(
        "picked_for",
        pa.int32(),
        "the child that the token was picked for, evenly spaced in rank of that child's activation where both fire; "
        "-1: no child fires there, evenly spaced in rank of the parent's activation",
    ),
    *PASSAGE,
    Column("parent_value", pa.float32(), "activation of the parent"),
    Column("children", pa.list_(pa.int32()), "the children that fire there, the strongest first"),
    Column("child_values", pa.list_(pa.float32()), "their activations"),
    Column("context_values", pa.list_(pa.float32()), "the parent's activation at each token of the context"),
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """A parent and its children; tokens are picked for those that are `shown`."""

    parent: int
    children: Int[np.ndarray, " children"]
    shown: Int[np.ndarray, " shown"]


def splitting_tokens(
    collected: Collected, families: Sequence[Family], *, per_child: int, uncovered: int, reach: int
) -> pa.Table:
    """The table ``splitting_tokens``: family by family and child by child, tokens that no child covers last.

    `per_child`, `uncovered`: tokens at most. `reach`: tokens of context on either side.
    """
    codes = collected.codes
    columns: dict[str, list] = {name: [np.empty(0, np.int64)] for name in ("parent", "picked_for", "row", "n_firing")}
    columns |= {name: [np.empty(0, np.float32)] for name in ("parent_value", "children", "child_values")}
    for family in families:
        picked_for, row = _picked(codes, family, per_child, uncovered)
        n_firing, children, child_values = _firing(codes, family.children, row)
        found = {
            "parent": np.full(len(row), family.parent),
            "picked_for": picked_for,
            "row": row,
            "n_firing": n_firing,
            "parent_value": codes.values_at(family.parent, row),
            "children": children,
            "child_values": child_values,
        }
        for name, values in found.items():
            columns[name].append(values)
    flat = {name: np.concatenate(parts) for name, parts in columns.items()}
    n_firing = flat.pop("n_firing")
    passages = Passages.of(collected.origin, flat["row"], reach)
    flat |= {
        **passages.columns(collected.text),
        "children": lists(flat["children"].astype(np.int32), n_firing, pa.int32()),
        "child_values": lists(flat["child_values"], n_firing, pa.float32()),
        "context_values": passages.values(codes, flat["parent"]),
    }
    return make_table(
        SPLITTING_TOKENS,
        flat,
        {"per_child": per_child, "uncovered": uncovered},
    )


def _picked(
    codes: CodeTable, family: Family, per_child: int, uncovered: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """What each token was picked for, and its row."""
    of_parent = codes.rows_of(family.parent)
    alone = np.ones(len(of_parent), dtype=bool)
    for child in family.children.tolist():
        alone &= ~codes.fires_at(child, of_parent)
    picks = []
    for child in family.shown.tolist():
        both = codes.fires_at(family.parent, codes.rows_of(child))
        picks.append((child, _evenly_in_rank(codes.rows_of(child)[both], codes.values_of(child)[both], per_child)))
    values = codes.values_of(family.parent)
    picks.append((NO_CHILD, _evenly_in_rank(of_parent[alone], values[alone], uncovered)))
    picked_for = np.repeat([child for child, _ in picks], [len(rows) for _, rows in picks])
    return picked_for, np.concatenate([rows for _, rows in picks]).astype(np.int64)


def _evenly_in_rank(rows: Int[np.ndarray, " m"], values: Float[np.ndarray, " m"], count: int) -> Int[np.ndarray, " n"]:
    return evenly(rows[np.argsort(-values, kind="stable")], count)


def _firing(
    codes: CodeTable, children: Int[np.ndarray, " children"], row: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " total"], Float[np.ndarray, " total"]]:
    """How many of `children` fire on each row, which, and their activations, the strongest first."""
    values = np.stack([codes.values_at(child, row) for child in children.tolist()], axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    strongest = np.take_along_axis(values, order, axis=1)
    fires = strongest > 0
    return fires.sum(axis=1), children[order][fires], strongest[fires]
