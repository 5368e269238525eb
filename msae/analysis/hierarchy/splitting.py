"""How a parent's firing is shared out among its children: coverage, overlap and the entropy of the partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from msae.analysis.hierarchy.edges import STEP, Edges, find_edges, null_edges, with_steps
from msae.analysis.hierarchy.splitting_tokens import SPLITTING_TOKENS, Family, splitting_tokens
from msae.analysis.measurement import Figure, Result
from msae.analysis.rendering import ShownTable
from msae.analysis.sample import CodeTable, Collected, JoinedCodes, Levelled
from msae.analysis.sample.code_table import is_among
from msae.analysis.tables import WORD, Column, Status, TableSpec, by_column, lists, make_table
from msae.core.config import require
from msae.core.means import mean, standard_error

if TYPE_CHECKING:
    from rich.console import RenderableType

ALL_LATER = -1

SPLITTING = TableSpec(
    "splitting",
    "a parent and a later level (or all): how its children share it out",
    Column("parent", pa.int32(), "number of the parent"),
    Column("parent_level", pa.int16(), "its level"),
    Column("child_level", pa.int16(), "the level whose children are counted; -1: those of all later levels"),
    Column("n_parent", pa.int64(), "tokens on which the parent fires"),
    Column("n_children", pa.int32(), "children (edges of the tree) in that level"),
    Column("children", pa.list_(pa.int32()), "their numbers"),
    Column("coverage", pa.float32(), "share of the parent's tokens on which at least one child fires"),
    Column("null_coverage", pa.float32(), "the same with all codes shifted"),
    Column(
        "overlap", pa.float32(), "mean number of further children that fire where one does; 0: they exclude another"
    ),
    Column(
        "entropy",
        pa.float32(),
        "bits: entropy of the children's shares of the covered tokens (a token with m children gives each 1/m); "
        "2**entropy is the effective number of children",
    ),
    Column("shares", pa.list_(pa.float32()), "each child's share of the covered tokens, in the order of `children`"),
)

SPLITTING_LEVELS = TableSpec(
    "splitting_levels",
    "a pair of levels: parents in one, children in the other",
    Column("parent_level", pa.int16(), "level of the parents"),
    Column("child_level", pa.int16(), "level of the children"),
    Column(
        "status",
        WORD,
        f"'{Status.OK}'; '{Status.FEW}': no latent of one of the levels fires often enough; "
        f"'{Status.NEVER}': none fires",
    ),
    Column("n_parents", pa.int32(), "latents of the parents' level that fire often enough", heading="parents"),
    Column("with_children", pa.int32(), "of these, how many have a child"),
    Column("split", pa.int32(), "of these, how many have two or more children"),
    Column("edges", pa.int32(), "edges between the two levels"),
    Column("edges_by_chance", pa.int32(), "the same with all codes shifted", heading="by chance"),
    Column("children_per_parent", pa.float32(), "edges / n_parents", heading="children/parent", digits=2),
    Column(
        "coverage", pa.float32(), "mean coverage of the parents that have a child", digits=3, error="coverage_error"
    ),
    Column("coverage_error", pa.float32(), "its standard error over parents; null below two parents"),
    Column("null_coverage", pa.float32(), "the same with all codes shifted", heading="by chance", digits=3),
    Column("overlap", pa.float32(), "mean overlap of the parents that have a child", digits=3),
    Column("entropy", pa.float32(), "mean entropy of the parents that have a child", "bits", digits=2),
)


@dataclass(frozen=True, kw_only=True)
class Partition:
    """How the tokens of a parent are shared out among its children."""

    coverage: float
    overlap: float
    entropy: float
    shares: Float[np.ndarray, " children"]


@dataclass(frozen=True, kw_only=True)
class Splitting:
    """How a parent's tokens are divided among its children.

    `conditional`: the least P(parent | child) of an edge, as in `Tree`. Of each parent, tokens are shown for the
    `children_shown` children with the largest shares, `per_child` each, and `uncovered` that no child covers, with
    `reach` tokens of context on either side.
    """

    name: ClassVar[str] = "splitting"
    tables: ClassVar[tuple[TableSpec, ...]] = (SPLITTING, SPLITTING_LEVELS, SPLITTING_TOKENS)

    conditional: float = 0.8
    children_shown: int = 12
    per_child: int = 3
    uncovered: int = 8
    reach: int = 16

    def __post_init__(self) -> None:
        require(0 < self.conditional <= 1, "conditional", self.conditional, "a probability above 0, at most 1")
        for field in ("children_shown", "per_child", "uncovered"):
            require(getattr(self, field) >= 0, field, getattr(self, field), "a count, 0 or more")
        require(0 <= self.reach < 1 << 14, "reach", self.reach, "a count of tokens, 0 or more")

    def run(self, collected: Collected) -> Result:
        """Tables ``splitting`` (a parent and a later level, or all), ``splitting_levels`` (a pair of levels) and
        ``splitting_tokens`` (tokens of a parent with its children)."""
        rows, levels = split(collected, self.conditional)
        all_later = [row for row in rows if row["child_level"] == ALL_LATER]
        summary = {
            "parents_with_children": len(all_later),
            "parents_split": sum(row["n_children"] > 1 for row in all_later),
            "mean_coverage": float(np.mean([row["coverage"] for row in all_later])) if all_later else None,
            "mean_null_coverage": float(np.mean([row["null_coverage"] for row in all_later])) if all_later else None,
            "null_model": collected.null_model,
        }
        tables = {
            "splitting": make_table(
                SPLITTING,
                split_columns(rows),
                {"null_model": collected.null_model},
            ),
            "splitting_levels": make_table(SPLITTING_LEVELS, by_column(SPLITTING_LEVELS, levels)),
            "splitting_tokens": splitting_tokens(
                collected,
                [self._family(row) for row in all_later],
                per_child=self.per_child,
                uncovered=self.uncovered,
                reach=self.reach,
            ),
        }
        return Result(tables=tables, summary=summary)

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """One row a pair of levels."""
        title = "Splitting: children per parent, and how much of the parent they take up"
        return [shown_levels(title, result, SPLITTING_LEVELS)]

    def _family(self, row: dict) -> Family:
        largest = np.argsort(-row["shares"], kind="stable")[: self.children_shown]
        return Family(parent=row["parent"], children=row["children"], shown=row["children"][largest])


def shown_levels(title: str, result: Result, spec: TableSpec) -> ShownTable:
    """The figures of pairs of levels, or of SAEs trained independently."""
    names = ["n_parents", "with_children", "split", "edges", "edges_by_chance", "children_per_parent"]
    names += ["coverage", "null_coverage", "overlap", "entropy"]
    rows = with_steps(result.tables[spec.name].to_pylist())
    notes = [f"By chance: {result.summary['null_model']}. ± one standard error."]
    return ShownTable.of((STEP, *spec.columns), rows, "levels", *names, title=title, notes=notes)


def split(sample: Levelled, conditional: float) -> tuple[list[dict], list[dict]]:
    """The rows of `SPLITTING` and of `SPLITTING_LEVELS` for the edges of a sample."""
    edges, by_chance = find_edges(sample, conditional), null_edges(sample, conditional)
    rows = [_row(sample, *group) for group in _groups(sample, edges)]
    return rows, _levels(sample, rows, edges, by_chance)


def partition(parent: Int[np.ndarray, " n"], children: Sequence[Int[np.ndarray, " _"]]) -> Partition:
    """The partition of the rows `parent` by the rows of each child (all ascending); rows outside `parent` are ignored.

    Overlap and entropy are 0 where no child fires with the parent.
    """
    fires = [is_among(parent, child) for child in children]
    how_many = np.sum(fires, axis=0) if fires else np.zeros(len(parent), int)
    covered = how_many > 0
    n_covered = int(covered.sum())
    if n_covered == 0:
        return Partition(coverage=0.0, overlap=0.0, entropy=0.0, shares=np.zeros(len(children)))
    weight = np.where(covered, 1 / np.maximum(how_many, 1), 0.0)
    shares = np.array([weight[child].sum() for child in fires]) / n_covered
    some = shares[shares > 0]
    return Partition(
        coverage=n_covered / len(parent),
        overlap=float(how_many[covered].mean() - 1),
        entropy=float(-(some * np.log2(some)).sum()),
        shares=shares,
    )


def _groups(collected: Levelled, edges: Edges) -> list[tuple[int, int, np.ndarray]]:
    """(parent, child level, children), for every later level with children and for all of them together."""
    order = np.lexsort((edges.child, edges.parent))
    parent, child = edges.parent[order], edges.child[order]
    groups = []
    for latent in np.unique(parent):
        children = child[slice(*np.searchsorted(parent, [latent, latent + 1]))]
        level = collected.level_of[children]
        groups += [(int(latent), int(g), children[level == g]) for g in np.unique(level)]
        groups.append((int(latent), ALL_LATER, children))
    return groups


def _row(collected: Levelled, parent: int, child_level: int, children: np.ndarray) -> dict:
    real, null = (_partition_of(codes, parent, children) for codes in (collected.codes, collected.null_codes))
    return {
        "parent": parent,
        "parent_level": int(collected.level_of[parent]),
        "child_level": child_level,
        "n_parent": int(collected.codes.counts[parent]),
        "n_children": len(children),
        "children": children,
        "coverage": real.coverage,
        "null_coverage": null.coverage,
        "overlap": real.overlap,
        "entropy": real.entropy,
        "shares": real.shares,
    }


def _partition_of(codes: CodeTable, parent: int, children: np.ndarray) -> Partition:
    return partition(codes.rows_of(parent), [codes.rows_of(int(child)) for child in children])


def split_columns(rows: list[dict]) -> dict:
    """The columns of `SPLITTING`."""
    lengths = np.array([len(row["children"]) for row in rows], dtype=np.int64)
    flat = {
        name: np.concatenate([row[name] for row in rows]) if rows else np.empty(0) for name in ("children", "shares")
    }
    return {
        **{c.name: [row[c.name] for row in rows] for c in SPLITTING.columns if c.name not in flat},
        "children": lists(flat["children"], lengths, pa.int32()),
        "shares": lists(flat["shares"], lengths, pa.float32()),
    }


def _levels(collected: Levelled, rows: list[dict], edges: Edges, by_chance: Edges) -> list[dict]:
    counts, level_of, n_levels = collected.codes.counts, collected.level_of, collected.n_levels
    often, out = collected.often, []
    for parent_level in range(n_levels):
        for child_level in range(parent_level + 1, n_levels):
            here = [row for row in rows if (row["parent_level"], row["child_level"]) == (parent_level, child_level)]
            bands = [level_of == level for level in (parent_level, child_level)]
            n_parents = int(often[bands[0]].sum())
            n_edges, n_chance = (
                int(((level_of[e.parent] == parent_level) & (level_of[e.child] == child_level)).sum())
                for e in (edges, by_chance)
            )
            out.append(
                {
                    "parent_level": parent_level,
                    "child_level": child_level,
                    "status": _status(counts, often, bands),
                    "n_parents": n_parents,
                    "with_children": len(here),
                    "split": sum(row["n_children"] > 1 for row in here),
                    "edges": n_edges,
                    "edges_by_chance": n_chance,
                    "children_per_parent": n_edges / n_parents if n_parents else None,
                    "coverage_error": standard_error([row["coverage"] for row in here]),
                    **{
                        name: mean([row[name] for row in here])
                        for name in ("coverage", "null_coverage", "overlap", "entropy")
                    },
                }
            )
    return out


def _status(counts: np.ndarray, often: np.ndarray, bands: list[np.ndarray]) -> Status:
    if any(not counts[band].any() for band in bands):
        return Status.NEVER
    return Status.OK if all(often[band].any() for band in bands) else Status.FEW


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


def _described(name: str, row: str, spec: TableSpec) -> TableSpec:
    columns = (replace(column, meaning=_MEANINGS.get(column.name, column.meaning)) for column in spec.columns)
    return TableSpec(name, row, *columns)


SPLITTING_INDEPENDENT = _described("splitting_independent", "a latent of a narrower SAE and a wider SAE", SPLITTING)
SPLITTING_INDEPENDENT_LEVELS = _described("splitting_independent_levels", "two independent SAEs", SPLITTING_LEVELS)


@dataclass(frozen=True, kw_only=True)
class IndependentSplitting:
    """Splitting between SAEs that were trained independently, to compare with nesting. The narrower one's latents are
    the parents. `conditional`: as in `Splitting`.

    The same edges, measures and null. What differs is what a child can be: in a nested SAE it is a latent that a level
    *adds*, here any latent of the wider SAE, one that stands for the very same thing as its parent included.
    """

    name: ClassVar[str] = "splitting_independent"
    tables: ClassVar[tuple[TableSpec, ...]] = (SPLITTING_INDEPENDENT, SPLITTING_INDEPENDENT_LEVELS)

    conditional: float = 0.8

    def run(self, saes: JoinedCodes) -> Result:
        """Tables ``splitting_independent`` (a parent and a wider SAE) and ``splitting_independent_levels`` (two SAEs).

        `saes`: the narrowest first.
        """
        rows, levels = split(saes, self.conditional)
        rows = [row for row in rows if row["child_level"] != ALL_LATER]
        for row in rows:
            row["parent"] = int(saes.own_number(np.array([row["parent"]]))[0])
            row["children"] = saes.own_number(row["children"])
        summary: dict[str, Figure] = {
            "widths": ", ".join(map(str, saes.widths)),
            "conditional": self.conditional,
            "null_model": saes.null_model,
            "n_tokens": saes.codes.n_rows,
        }
        by_level = by_column(SPLITTING_INDEPENDENT_LEVELS, levels)
        tables = {
            self.name: make_table(SPLITTING_INDEPENDENT, split_columns(rows), summary),
            f"{self.name}_levels": make_table(SPLITTING_INDEPENDENT_LEVELS, by_level, summary),
        }
        return Result(tables=tables, summary=summary)

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """One row a pair of SAEs."""
        title = f"Splitting, the same between SAEs trained independently, of widths {result.summary['widths']}"
        return [shown_levels(title, result, SPLITTING_INDEPENDENT_LEVELS)]
