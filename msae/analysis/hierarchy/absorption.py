"""Absorption without labels: a child fires, its parent is silent, and the parent would have been needed.

Candidates (p, c) are the edges of the tree, and all pairs whose decoder cosine exceeds the 99.9th percentile of a null:
a child that has absorbed its parent wholly never fires with it, so edges alone would miss the worst cases. In one band
both directions are candidates; across bands the parent lies in the inner one. A token is *absorbed* when

    f_c > 0,   f_p = 0,   ⟨x − x̂ + f_c W_dec[c], W_dec[p]⟩ > the 10th percentile of p's nonzero activations

The null asks the same of tokens that c does not choose: those on which its codes fire once shifted within documents,
with x, x̂ and every code as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.analysis.hierarchy.direction_null import cosine_null
from msae.analysis.hierarchy.edges import STEP, find_edges, with_steps
from msae.analysis.hierarchy.residuals import residual_projections
from msae.analysis.measurement import Figure, Result
from msae.analysis.rendering import ShownTable
from msae.analysis.sample import Collected
from msae.analysis.sample.code_table import evenly
from msae.analysis.sample.passages import PASSAGE, Passages
from msae.analysis.tables import WORD, Column, Status, TableSpec, by_column, make_table, words
from msae.core.config import require
from msae.core.means import mean, standard_error

if TYPE_CHECKING:
    from rich.console import RenderableType

BLOCK_NUMBERS = 1 << 24

ABSORPTION = TableSpec(
    "absorption",
    "a candidate: parent and child",
    Column("parent", pa.int32(), "number of the latent that is silent"),
    Column("child", pa.int32(), "number of the latent that fires in its place"),
    Column("parent_level", pa.int16(), "the parent's level"),
    Column("child_level", pa.int16(), "the child's level"),
    Column(
        "status",
        WORD,
        f"'{Status.OK}', or '{Status.FEW}': one of the two fires on too few tokens; rates are then null",
    ),
    Column("is_edge", pa.bool_(), "whether the pair is an edge of the tree"),
    Column("cosine", pa.float32(), "cosine of the decoder directions"),
    Column("n_child", pa.int64(), "tokens on which the child fires"),
    Column("together", pa.int64(), "tokens on which both fire"),
    Column(
        "tested",
        pa.int32(),
        "tokens tested: the child fires, the parent is silent; evenly spaced if there are more",
    ),
    Column("absorbed", pa.int32(), "of these, absorbed"),
    Column("rate", pa.float32(), "absorbed tokens / n_child, from the tokens tested"),
    Column("rate_error", pa.float32(), "its binomial standard error"),
    Column("null_rate", pa.float32(), "the same on tokens on which the child's shifted codes fire"),
)

ABSORPTION_TOKENS = TableSpec(
    "absorption_tokens",
    "an absorbed token, with context",
    Column("parent", pa.int32(), "number of the latent that is silent"),
    Column("child", pa.int32(), "number of the latent that fires in its place"),
    *PASSAGE,
    Column("child_value", pa.float32(), "activation of the child"),
    Column("parent_needed", pa.float32(), "projection on the parent's direction of what is left without the child"),
    Column("parent_p10", pa.float32(), "10th percentile of the parent's nonzero activations, which it exceeds"),
    Column("context_child", pa.list_(pa.float32()), "the child's activation at each token of the context"),
    Column("context_parent", pa.list_(pa.float32()), "the parent's activation at each of them"),
)

ABSORPTION_LEVELS = TableSpec(
    "absorption_levels",
    "a pair of levels: parents in one, children in the other",
    Column("parent_level", pa.int16(), "level of the parents"),
    Column("child_level", pa.int16(), "level of the children"),
    Column(
        "status",
        WORD,
        f"'{Status.OK}'; '{Status.FEW}': no candidate fires often enough; '{Status.NEVER}': one of the bands is silent",
    ),
    Column("pairs", pa.int32(), "candidates tested", heading="candidates"),
    Column("absorbing", pa.int32(), "of these, with a rate above 0.05 and above the null rate by 3 standard errors"),
    Column("rate", pa.float32(), "mean rate over candidates", "", "mean rate", 4, "rate_error"),
    Column("rate_error", pa.float32(), "its standard error over candidates; null below two"),
    Column("null_rate", pa.float32(), "mean null rate", "", "by chance", 4),
)


@dataclass(frozen=True, kw_only=True)
class Absorption:
    """On which tokens a child fires in place of its silent parent, without labels.

    `conditional`: of the edges, as in `Tree`. `cosine`: the least decoder cosine of the other candidates; None takes
    the 99.9th percentile of the null (`cosine_null`). `pairs`: candidates at most, edges first, then those of the
    largest cosine. `tokens`: tested of a pair at most. `shown`: tokens shown of a pair, with `reach` tokens of context
    on either side.
    """

    name: ClassVar[str] = "absorption"
    tables: ClassVar[tuple[TableSpec, ...]] = (ABSORPTION, ABSORPTION_LEVELS, ABSORPTION_TOKENS)

    conditional: float = 0.8
    cosine: float | None = None
    pairs: int = 20_000
    tokens: int = 500
    shown: int = 8
    reach: int = 16

    def __post_init__(self) -> None:
        require(0 < self.conditional <= 1, "conditional", self.conditional, "a probability above 0, at most 1")
        require(self.cosine is None or -1 <= self.cosine <= 1, "cosine", self.cosine, "a cosine, or None")
        for field in ("pairs", "tokens", "shown"):
            require(getattr(self, field) >= 1, field, getattr(self, field), "at least one")
        require(0 <= self.reach < 1 << 14, "reach", self.reach, "a count of tokens, 0 or more")

    def run(self, collected: Collected) -> Result:
        """Tables ``absorption`` (a candidate), ``absorption_levels`` (a pair of levels), ``absorption_tokens``."""
        least = cosine_null(collected.directions, 0.999) if self.cosine is None else self.cosine
        parent, child, is_edge, n_candidates = self._candidates(collected, least)
        enough = collected.often
        ok = enough[parent] & enough[child]
        real, null = (self._test(collected, parent[ok], child[ok], shifted) for shifted in (False, True))
        columns = _columns(collected, parent, child, is_edge, ok, real, null)
        summary: dict[str, Figure] = {
            "candidates": n_candidates,
            "candidates_kept": len(parent),
            "candidates_tested": int(ok.sum()),
            "least_cosine": float(least),
            "absorbing_pairs": int(_absorbing(columns)[ok].sum()),
            "mean_rate": float(columns["rate"][ok].mean()) if ok.any() else None,
            "mean_null_rate": float(columns["null_rate"][ok].mean()) if ok.any() else None,
            "null_model": collected.null_model,
        }
        tables = {
            "absorption": make_table(ABSORPTION, _sorted(columns), summary),
            "absorption_levels": make_table(
                ABSORPTION_LEVELS, by_column(ABSORPTION_LEVELS, _levels(collected, columns, ok))
            ),
            "absorption_tokens": make_table(
                ABSORPTION_TOKENS,
                self._tokens(collected, parent[ok], child[ok], real),
            ),
        }
        return Result(tables=tables, summary=summary)

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """One row a pair of levels."""
        title = "Absorption (unsupervised): the child fires, the parent would have been needed"
        rows = with_steps(result.tables["absorption_levels"].to_pylist())
        notes = [f"By chance: {result.summary['null_model']}. ± one standard error."]
        columns = (STEP, *ABSORPTION_LEVELS.columns)
        names = ("levels", "pairs", "absorbing", "rate", "null_rate")
        return [ShownTable.of(columns, rows, *names, title=title, notes=notes)]

    def _candidates(self, collected: Collected, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Parent, child and whether an edge, and how many there were before the cut at `pairs`."""
        edges = find_edges(collected, self.conditional)
        alive = np.flatnonzero(collected.codes.counts)
        near = alive[close_pairs(collected.directions[torch.from_numpy(alive)], least)]
        same_band = collected.level_of[near[:, 0]] == collected.level_of[near[:, 1]]
        both_ways = np.concatenate([near, near[same_band][:, ::-1]])
        parent = np.concatenate([edges.parent, both_ways[:, 0]])
        child = np.concatenate([edges.child, both_ways[:, 1]])
        is_edge = np.arange(len(parent)) < len(edges)
        _, first = np.unique(parent.astype(np.int64) * collected.codes.d_sae + child, return_index=True)
        parent, child, is_edge = parent[first], child[first], is_edge[first]
        order = np.lexsort((-collected.cosine(parent, child), ~is_edge))[: self.pairs]
        return parent[order], child[order], is_edge[order], len(first)

    def _test(self, collected: Collected, parent: np.ndarray, child: np.ndarray, shifted: bool) -> _Tested:
        """The absorption test on the tokens of each child, or on those its shifted codes name."""
        codes = collected.null_codes if shifted else collected.codes
        floors = {p: float(np.quantile(collected.codes.values_of(p), 0.1)) for p in np.unique(parent).tolist()}
        rows, values, n_silent = [], [], []
        for p, c in zip(parent.tolist(), child.tolist(), strict=True):
            of_child = codes.rows_of(c)
            silent = of_child[~collected.codes.fires_at(p, of_child)]
            drawn = evenly(silent, self.tokens)
            rows.append(drawn)
            values.append(collected.codes.values_at(c, drawn))
            n_silent.append(len(silent))
        lengths = np.array([len(drawn) for drawn in rows], dtype=np.int64)
        pair = np.repeat(np.arange(len(parent)), lengths)
        row = np.concatenate(rows) if rows else np.empty(0, np.int32)
        value = np.concatenate(values) if values else np.empty(0, np.float32)
        projection, _ = residual_projections(collected, row, parent[pair])
        needed = projection + value * collected.cosine(parent, child)[pair]
        floor = np.array([floors[p] for p in parent.tolist()])
        return _Tested(
            pair=pair,
            row=row.astype(np.int64),
            value=value,
            needed=needed,
            floor=floor,
            absorbed=needed > floor[pair],
            silent_share=np.array(n_silent) / np.maximum(collected.codes.counts[child], 1),
            tested=lengths,
        )

    def _tokens(self, collected: Collected, parent: np.ndarray, child: np.ndarray, real: _Tested) -> dict:
        hit = np.flatnonzero(real.absorbed)
        hit = hit[np.lexsort((-real.needed[hit], real.pair[hit]))]
        rank = np.arange(len(hit)) - np.searchsorted(real.pair[hit], real.pair[hit])
        hit = hit[rank < self.shown]
        hit = hit[np.lexsort((child[real.pair[hit]], parent[real.pair[hit]]))]
        pair = real.pair[hit]
        passages = Passages.of(collected.origin, real.row[hit], self.reach)
        return {
            "parent": parent[pair],
            "child": child[pair],
            **passages.columns(collected.text),
            "child_value": real.value[hit],
            "parent_needed": real.needed[hit],
            "parent_p10": real.floor[pair],
            "context_child": passages.values(collected.codes, child[pair]),
            "context_parent": passages.values(collected.codes, parent[pair]),
        }


@dataclass(frozen=True)
class _Tested:
    """Tokens tested (`pair` … `absorbed`: one a token; `floor` … `tested`: one a pair).

    `silent_share`: tokens with the parent silent / tokens on which the child fires.
    """

    pair: Int[np.ndarray, " tokens"]
    row: Int[np.ndarray, " tokens"]
    value: Float[np.ndarray, " tokens"]
    needed: Float[np.ndarray, " tokens"]
    absorbed: np.ndarray
    floor: Float[np.ndarray, " pairs"]
    silent_share: Float[np.ndarray, " pairs"]
    tested: Int[np.ndarray, " pairs"]

    @property
    def count(self) -> Int[np.ndarray, " pairs"]:
        """Absorbed tokens of each pair."""
        return np.bincount(self.pair[self.absorbed], minlength=len(self.tested))

    @property
    def rate(self) -> Float[np.ndarray, " pairs"]:
        """Absorbed tokens over all tokens of the child."""
        return self.silent_share * self.count / np.maximum(self.tested, 1)

    @property
    def error(self) -> Float[np.ndarray, " pairs"]:
        """The binomial standard error of `rate`."""
        share = self.count / np.maximum(self.tested, 1)
        return self.silent_share * np.sqrt(share * (1 - share) / np.maximum(self.tested, 1))


def close_pairs(directions: Float[Tensor, "n d_in"], least: float) -> Int[np.ndarray, "pairs 2"]:
    """All pairs i < j of unit directions whose cosine exceeds `least`. At most 2²⁴ cosines are held at once."""
    n = len(directions)
    block = max(1, BLOCK_NUMBERS // max(n, 1))
    found = []
    for first in range(0, n, block):
        cosines = directions[first : first + block] @ directions[first:].T
        pairs = (cosines > least).triu(1).nonzero() + first
        found.append(pairs.numpy())
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


def _columns(
    collected: Collected,
    parent: np.ndarray,
    child: np.ndarray,
    is_edge: np.ndarray,
    ok: np.ndarray,
    real: _Tested,
    null: _Tested,
) -> dict[str, np.ndarray]:
    together = [
        int(collected.codes.fires_at(p, collected.codes.rows_of(c)).sum())
        for p, c in zip(parent.tolist(), child.tolist(), strict=True)
    ]
    return {
        "parent": parent,
        "child": child,
        "parent_level": collected.level_of[parent],
        "child_level": collected.level_of[child],
        "status": np.where(ok, 0, 1),
        "is_edge": is_edge,
        "cosine": collected.cosine(parent, child),
        "n_child": collected.codes.counts[child],
        "together": np.array(together, dtype=np.int64),
        "tested": _spread(real.tested, ok),
        "absorbed": _spread(real.count, ok),
        "rate": _spread(real.rate, ok),
        "rate_error": _spread(real.error, ok),
        "null_rate": _spread(null.rate, ok),
    }


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`values` at `where`; elsewhere NaN, or 0 for counts."""
    out = np.full(len(where), np.nan if values.dtype.kind == "f" else 0, dtype=values.dtype)
    out[where] = values
    return out


def _sorted(columns: dict[str, np.ndarray]) -> dict:
    """The most absorbing pairs first."""
    order = np.lexsort((columns["child"], columns["parent"], -np.nan_to_num(columns["rate"], nan=-1.0)))
    out: dict = {name: values[order] for name, values in columns.items()}
    return {**out, "status": words([Status.OK, Status.FEW], out["status"])}


def _absorbing(columns: dict[str, np.ndarray]) -> np.ndarray:
    rate, null = np.nan_to_num(columns["rate"]), np.nan_to_num(columns["null_rate"])
    return (rate > 0.05) & (rate > null + 3 * np.nan_to_num(columns["rate_error"]))


def _levels(collected: Collected, columns: dict[str, np.ndarray], ok: np.ndarray) -> list[dict]:
    absorbing, out = _absorbing(columns), []
    alive = [collected.codes.counts[collected.level_of == level].any() for level in range(collected.sae.n_levels)]
    for p in range(len(alive)):
        for c in range(p, len(alive)):
            here = ok & (columns["parent_level"] == p) & (columns["child_level"] == c)
            rate, n = columns["rate"][here], int(here.sum())
            out.append(
                {
                    "parent_level": p,
                    "child_level": c,
                    "status": Status.NEVER if not (alive[p] and alive[c]) else Status.OK if n else Status.FEW,
                    "pairs": n,
                    "absorbing": int(absorbing[here].sum()),
                    "rate": mean(rate),
                    "rate_error": standard_error(rate),
                    "null_rate": mean(columns["null_rate"][here]),
                }
            )
    return out
