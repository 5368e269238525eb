"""Absorption without labels: a child fires, its parent is silent, and the parent would have been needed.

Two witnesses, one of firing and one of directions, since either alone is misled where nothing is absorbed:

    hole     of c's tokens, on how many p is missing that its token type makes expect (`token_types.hole`); two
             exclusive senses of one token leave a hole too
    across   how much of what the child leaves unexplained lies towards the parent (`absorption_witnesses`); any two
             directions of a large cosine make the parent look needed

A pair is *absorbing* where both exceed their nulls: p-values of the larger of the two, Benjamini–Hochberg over all
candidates at `fdr`, a hole of `least_hole` at least, and no other candidate of the child that lies more in what is left
of it. (Children that have absorbed one parent all carry it, and exclude each other: the parent is more across than they
are. Where it has no latent of its own left, they come out as each other's.)

`rate` is how often the parent looks needed; it is given with the rate of other latents turned to the same cosine, and
`excess` over it. Where every token type of a child is its own (the classical case of one token a feature) there is no
hole to see: such tokens are left out and counted; labels see them (`concepts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
from scipy.stats import norm

from msae.analysis.hierarchy.absorption_candidates import Candidates, find_candidates
from msae.analysis.hierarchy.absorption_witnesses import Silent, silent_tokens, turned_directions
from msae.analysis.hierarchy.direction_null import cosine_null
from msae.analysis.hierarchy.edges import STEP, with_steps
from msae.analysis.hierarchy.token_types import TokenTypes, hole
from msae.analysis.measurement import Figure, Result
from msae.analysis.rendering import ShownTable
from msae.analysis.sample import Collected
from msae.analysis.sample.pairs import among_the_first
from msae.analysis.sample.passages import PASSAGE, Passages
from msae.analysis.sample.significance import log_cut
from msae.analysis.tables import WORD, Column, Status, TableSpec, by_column, make_table, words
from msae.core.checked import checked
from msae.core.config import require
from msae.core.means import mean, standard_error

if TYPE_CHECKING:
    from rich.console import RenderableType

NULL_MODEL = "holes at random within token types, and other latents turned to the same cosine with the child"

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
        "absorbing",
        pa.bool_(),
        "whether hole and across both exceed their nulls, and no other candidate of the child has more across",
    ),
    Column(
        "hole",
        pa.float32(),
        "mean over the child's tokens of P(parent fires | same token type, child silent) - P(parent fires | child "
        "fires)",
        digits=3,
        error="hole_error",
    ),
    Column("hole_error", pa.float32(), "its standard error over documents (or, where larger, of firing at random)"),
    Column("hole_tokens", pa.int64(), "the child's tokens it is taken over"),
    Column("hole_left_out", pa.int64(), "the child's tokens whose type never occurs with the child silent: left out"),
    Column("tested", pa.int32(), "tokens tested: the child fires, the parent is silent; evenly spaced if more"),
    Column(
        "across",
        pa.float32(),
        "on these, the share of the residual towards the parent, across the child's direction, times d_in: 1 by chance",
        digits=2,
    ),
    Column("null_across", pa.float32(), "its 99th percentile over other latents turned to the same cosine", digits=2),
    Column("absorbed", pa.int32(), "of the tokens tested, those on which the parent looks needed: without the "
           "child, its projection exceeds the 10th percentile of its nonzero activations"),
    Column("rate", pa.float32(), "these over n_child, from the tokens tested"),
    Column("rate_error", pa.float32(), "its binomial standard error"),
    Column("null_rate", pa.float32(), "mean rate of other latents turned to the same cosine with the child"),
    Column("excess", pa.float32(), "rate - null_rate"),
)  # fmt: skip

ABSORPTION_TOKENS = TableSpec(
    "absorption_tokens",
    "a token on which an absorbed parent looks needed, with context",
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
    Column("absorbing", pa.int32(), "of these, absorbing: hole and across both exceed their nulls"),
    Column("hole", pa.float32(), "mean hole over candidates", digits=3, error="hole_error"),
    Column("hole_error", pa.float32(), "its standard error over candidates; null below two"),
    Column("rate", pa.float32(), "mean rate over candidates", "", "mean rate", 4, "rate_error"),
    Column("rate_error", pa.float32(), "its standard error over candidates; null below two"),
    Column("null_rate", pa.float32(), "mean rate of directions of the same cosine", "", "same cosine", 4),
)


@checked
@dataclass(frozen=True, kw_only=True)
class Absorption:
    """Which latents fire in place of a silent parent, without labels.

    `conditional`: of the edges, as in `Tree`. `cosine`: the least decoder cosine of candidates chosen by it; None
    takes the 99.9th percentile of the null (`cosine_null`). `least_hole`: of candidates chosen by it, and of an
    absorbing pair. `pairs`: candidates at most. `fdr`: of absorbing pairs. `tokens`: tested of a pair at most. `shown`:
    tokens shown of a pair, with `reach` tokens of context on either side.
    """

    name: ClassVar[str] = "absorption"
    tables: ClassVar[tuple[TableSpec, ...]] = (ABSORPTION, ABSORPTION_LEVELS, ABSORPTION_TOKENS)

    conditional: float = 0.8
    cosine: float | None = None
    least_hole: float = 0.05
    pairs: int = 20_000
    fdr: float = 0.05
    tokens: int = 500
    shown: int = 8
    reach: int = 16

    def __post_init__(self) -> None:
        require(0 < self.conditional <= 1, "conditional", self.conditional, "a probability above 0, at most 1")
        require(self.cosine is None or -1 <= self.cosine <= 1, "cosine", self.cosine, "a cosine, or None")
        for field in ("least_hole", "fdr"):
            require(0 < getattr(self, field) < 1, field, getattr(self, field), "a rate between 0 and 1")
        for field in ("pairs", "tokens", "shown"):
            require(getattr(self, field) >= 1, field, getattr(self, field), "at least one")
        require(0 <= self.reach < 1 << 14, "reach", self.reach, "a count of tokens, 0 or more")

    def run(self, collected: Collected) -> Result:
        """Tables ``absorption`` (a candidate), ``absorption_levels`` (a pair of levels), ``absorption_tokens``."""
        least = cosine_null(collected.directions, 0.999) if self.cosine is None else self.cosine
        types = TokenTypes.of(collected.codes, collected.origin)
        found = find_candidates(
            collected,
            types,
            conditional=self.conditional,
            cosine=least,
            least_hole=self.least_hole,
            most=self.pairs,
        )
        ok = collected.often[found.parent] & collected.often[found.child]
        parent, child = found.parent[ok], found.child[ok]
        silent = silent_tokens(collected, parent, child, self.tokens)
        columns = _columns(collected, found) | {
            name: _spread(values, ok)
            for name, values in self._witnesses(collected, types, parent, child, silent).items()
        }
        columns["status"] = np.where(ok, 0, 1)
        absorbing = columns["absorbing"]
        summary: dict[str, Figure] = {
            "candidates": found.found,
            "candidates_kept": len(found.parent),
            "candidates_tested": int(ok.sum()),
            "least_cosine": float(least),
            "absorbing_pairs": int(absorbing.sum()),
            "absorbing_pairs_false": self.fdr * int(absorbing.sum()),
            "mean_hole": mean(_known(columns["hole"])),
            "mean_rate": mean(_known(columns["rate"])),
            "mean_null_rate": mean(_known(columns["null_rate"])),
            "mean_excess": mean(_known(columns["excess"])),
            "null_model": NULL_MODEL,
        }
        tables = {
            "absorption": make_table(ABSORPTION, _sorted(columns), summary),
            "absorption_levels": make_table(
                ABSORPTION_LEVELS, by_column(ABSORPTION_LEVELS, _levels(collected, columns, ok))
            ),
            "absorption_tokens": make_table(ABSORPTION_TOKENS, self._tokens(collected, parent, child, silent)),
        }
        return Result(tables=tables, summary=summary)

    def render(self, result: Result, tables: Mapping[str, pa.Table]) -> list[RenderableType]:
        """One row a pair of levels."""
        title = "Absorption (unsupervised): the child fires, the parent is missing and would have been needed"
        rows = with_steps(result.tables["absorption_levels"].to_pylist())
        notes = [
            f"Absorbing: {result.summary['null_model']}; false discovery rate {self.fdr:g}. ± one standard error.",
            "Same cosine: how often directions as near to the child as the parent look needed as well.",
        ]
        columns = (STEP, *ABSORPTION_LEVELS.columns)
        names = ("levels", "pairs", "absorbing", "hole", "rate", "null_rate")
        return [ShownTable.of(columns, rows, *names, title=title, notes=notes)]

    def _witnesses(
        self, collected: Collected, types: TokenTypes, parent: np.ndarray, child: np.ndarray, silent: Silent
    ) -> dict[str, np.ndarray]:
        """The columns of `ABSORPTION` that the pairs tested have."""
        pairs = list(zip(parent.tolist(), child.tolist(), strict=True))
        holes = [hole(collected.codes, types, collected.origin.document, p, c) for p, c in pairs]
        suspects = {c: parent[child == c] for c in np.unique(child).tolist()}
        turned = turned_directions(collected, np.unique(child), suspects, self.tokens)
        null = np.concatenate([np.empty(0), *(own.across for own in turned.values())])
        cosine = collected.cosine(parent, child)
        null_rate = [
            turned[c].rate(~collected.codes.fires_at(p, turned[c].row), float(cosine[i]), float(silent.floor[i]))
            for i, (p, c) in enumerate(pairs)
        ]
        value, error = (np.array([getattr(own, name) for own in holes]) for name in ("hole", "error"))
        log_p = np.maximum(_log_p_of_holes(value, error), _log_p_of_ranks(silent.across, null))
        cut = log_cut(log_p, len(log_p), self.fdr)
        return {
            "absorbing": (log_p <= cut)
            & (np.nan_to_num(value) >= self.least_hole)
            & _most_across(child, silent.across),
            "hole": value,
            "hole_error": error,
            "hole_tokens": np.array([own.tokens for own in holes], dtype=np.int64),
            "hole_left_out": np.array([own.left_out for own in holes], dtype=np.int64),
            "tested": silent.tested,
            "across": silent.across,
            "null_across": np.full(len(pairs), np.quantile(null, 0.99) if len(null) else np.nan),
            "absorbed": silent.count,
            "rate": silent.rate,
            "rate_error": silent.error,
            "null_rate": np.array(null_rate, dtype=np.float64),
            "excess": silent.rate - np.array(null_rate, dtype=np.float64),
        }

    def _tokens(self, collected: Collected, parent: np.ndarray, child: np.ndarray, silent: Silent) -> dict:
        hit = np.flatnonzero(silent.needed)
        hit = hit[np.lexsort((-silent.projection[hit], silent.pair[hit]))]
        rank = np.arange(len(hit)) - np.searchsorted(silent.pair[hit], silent.pair[hit])
        hit = hit[rank < self.shown]
        hit = hit[np.lexsort((child[silent.pair[hit]], parent[silent.pair[hit]]))]
        pair = silent.pair[hit]
        passages = Passages.of(collected.origin, silent.row[hit], self.reach)
        return {
            "parent": parent[pair],
            "child": child[pair],
            **passages.columns(collected.text),
            "child_value": silent.value[hit],
            "parent_needed": silent.projection[hit],
            "parent_p10": silent.floor[pair],
            "context_child": passages.values(collected.codes, child[pair]),
            "context_parent": passages.values(collected.codes, parent[pair]),
        }


def _most_across(child: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Which pairs have the largest `across` of their child's."""
    return among_the_first(child, np.zeros_like(child), across, 1)


def _log_p_of_holes(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """One-sided, of a normal distribution; 0 where there is no hole to see."""
    z = np.divide(value, error, out=np.zeros(len(value)), where=np.nan_to_num(error) > 0)
    return np.where(np.nan_to_num(value) > 0, norm.logsf(np.where(np.nan_to_num(error) > 0, z, np.inf)), 0.0)


def _log_p_of_ranks(value: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Of each value among draws of its null, itself counted as one; above their 90th percentile, where there are 100
    draws, of the Pareto tail fitted to those beyond it (Hill 1975), so that many tests do not need as many draws."""
    ordered = np.sort(null)
    above = len(null) - np.searchsorted(ordered, value, side="left")
    log_p = np.log((1 + above) / (1 + len(null)))
    tail = ordered[-(len(ordered) // 10) :] if len(ordered) >= 100 else np.empty(0)
    if len(tail) and tail[0] > 0 and tail[-1] > tail[0]:
        steepness = 1 / np.log(tail / tail[0]).mean()
        beyond = value > tail[0]
        log_p[beyond] = np.log(0.1) - steepness * np.log(value[beyond] / tail[0])
    return log_p


def _columns(collected: Collected, found: Candidates) -> dict[str, np.ndarray]:
    parent, child, codes = found.parent, found.child, collected.codes
    together = [
        int(codes.fires_at(p, codes.rows_of(c)).sum()) for p, c in zip(parent.tolist(), child.tolist(), strict=True)
    ]
    return {
        "parent": parent,
        "child": child,
        "parent_level": collected.level_of[parent],
        "child_level": collected.level_of[child],
        "is_edge": found.is_edge,
        "cosine": collected.cosine(parent, child),
        "n_child": codes.counts[child],
        "together": np.array(together, dtype=np.int64),
    }


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`values` at `where`; elsewhere NaN, or 0 for counts."""
    out = np.full(len(where), np.nan if values.dtype.kind == "f" else 0, dtype=values.dtype)
    out[where] = values
    return out


def _known(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _sorted(columns: dict[str, np.ndarray]) -> dict:
    """Absorbing pairs first, by their holes; then the others."""
    size = -np.nan_to_num(columns["hole"], nan=-1.0)
    order = np.lexsort((columns["child"], columns["parent"], size, ~columns["absorbing"]))
    out: dict = {name: values[order] for name, values in columns.items()}
    return {**out, "status": words([Status.OK, Status.FEW], out["status"])}


def _levels(collected: Collected, columns: dict[str, np.ndarray], ok: np.ndarray) -> list[dict]:
    out = []
    alive = [collected.codes.counts[collected.level_of == level].any() for level in range(collected.sae.n_levels)]
    for p in range(len(alive)):
        for c in range(p, len(alive)):
            here = ok & (columns["parent_level"] == p) & (columns["child_level"] == c)
            n = int(here.sum())
            hole, rate, null = (_known(columns[name][here]) for name in ("hole", "rate", "null_rate"))
            out.append(
                {
                    "parent_level": p,
                    "child_level": c,
                    "status": Status.NEVER if not (alive[p] and alive[c]) else Status.OK if n else Status.FEW,
                    "pairs": n,
                    "absorbing": int(columns["absorbing"][here].sum()),
                    "hole": mean(hole),
                    "hole_error": standard_error(hole),
                    "rate": mean(rate),
                    "rate_error": standard_error(rate),
                    "null_rate": mean(null),
                }
            )
    return out
