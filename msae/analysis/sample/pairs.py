"""Which latents fire together: exact counts of every pair, from sparse products, and the pairs worth keeping.

Counts are made for a block of latents against all others at a time, so memory is that of one block's pairs (at most
`BLOCK_LATENTS` · d_sae counts) and of the pairs kept. Every pair that occurs is counted, within bands and across.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from msae.analysis.sample.code_table import CodeTable
from msae.analysis.sample.significance import calibrated_cut, log_cut, log_tail
from msae.analysis.sample.strata import Strata
from msae.core.config import require
from msae.core.errors import MismatchError
from msae.core.progress import bar

BLOCK_LATENTS = 256
NOTABLE_Z = 3.0
ENOUGH_FALSE, MOST_NULLS = 20, 8


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """Which pairs are tested and kept.

    Tested: all pairs of latents that fire on at least `min_tokens` rows each, against what chance gives within
    documents (`strata`). Notable: fire together on at least `min_together` rows, and 3 standard deviations more often
    than chance has it (other pairs count as tests with p = 1).
    Kept: notable pairs that are among the `partners` with the largest phi that one of the two has in the other's
    level, or that are significant (at the false discovery rate `fdr`) with a conditional probability of at least
    `conditional` in one direction.
    """

    min_tokens: int = 20
    min_together: int = 5
    partners: int = 16
    conditional: float = 0.5
    fdr: float = 0.01

    def __post_init__(self) -> None:
        require(self.min_tokens >= 1, "min_tokens", self.min_tokens, "at least one token")
        require(self.min_together >= 1, "min_together", self.min_together, "at least one token")
        require(self.partners >= 0, "partners", self.partners, "a count, 0 or more")
        require(0 < self.conditional <= 1, "conditional", self.conditional, "a probability above 0, at most 1")
        require(0 < self.fdr < 1, "fdr", self.fdr, "a rate between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The pairs kept, a < b, in the order (a, b). `n_tests`: pairs tested. `log_p`: natural logarithm. `cut`: the
    largest that is significant."""

    a: Int[np.ndarray, " pairs"]
    b: Int[np.ndarray, " pairs"]
    together: Int[np.ndarray, " pairs"]
    phi: Float[np.ndarray, " pairs"]
    log_p: Float[np.ndarray, " pairs"]
    significant: Bool[np.ndarray, " pairs"]
    n_tests: int
    n_significant: int
    cut: float

    def __len__(self) -> int:
        return len(self.a)


def count_together(
    codes: CodeTable, others: CodeTable | None = None, *, block: int = BLOCK_LATENTS
) -> Iterator[tuple[slice, sp.csr_matrix]]:
    """For blocks of latents of `codes`, on how many rows each fires with each latent of `others` (None: the same).

    Yields the block and its (latents, d_sae of others) counts. Raises `MismatchError` unless both have the same rows.
    """
    others = others or codes
    if codes.n_rows != others.n_rows:
        raise MismatchError(f"codes of {codes.n_rows} rows cannot be counted against codes of {others.n_rows} rows")
    for latents in codes.latent_blocks(latents=block):
        counts = sp.csr_matrix((latents.stop - latents.start, others.d_sae), dtype=np.int32)
        for chunk, rows in enumerate(codes.chunks):
            counts += codes.firing_of(latents, chunk) @ others.firing(rows)
        yield latents, counts


def find_pairs(
    codes: CodeTable,
    level_of: Int[np.ndarray, " d_sae"],
    settings: PairSettings,
    *,
    bounds: Int[np.ndarray, " bounds"] | None = None,
    null: Callable[[int], CodeTable] | None = None,
    cut: float | None = None,
    progress: bool = False,
) -> Pairs:
    """Count every pair, test every pair, keep what `settings` says.

    `bounds`: where the documents begin within which chance is taken, and the last ends; None takes the whole for one.

    Significant is what lies beyond `cut`. Without one it is that of Benjamini–Hochberg at `fdr`, which holds for tokens
    that are independent, and with `null` (its n-th draw: the codes, shifted) one at which their pairs number at most
    `fdr` as many. Draws are made until `ENOUGH_FALSE` of their pairs lie beyond the cut, `MOST_NULLS` at most: a cut
    that few pairs of the null decide would be another with other shifts.
    """
    eligible = codes.counts >= settings.min_tokens
    n_tests = int(eligible.sum()) * (int(eligible.sum()) - 1) // 2
    strata = Strata.of(codes, np.array([0, codes.n_rows]) if bounds is None else bounds)
    kept: list[tuple[np.ndarray, ...]] = []
    tested: list[np.ndarray] = []
    with bar("count pairs", codes.d_sae, shown=progress) as advance:
        for latents, counts in count_together(codes):
            a, b, together, log_p = _notable(codes, strata, eligible, latents, counts, settings)
            tested.append(log_p[a < b])
            phi = phi_of(together, codes.counts[a], codes.counts[b], codes.n_rows)
            smaller = np.minimum(codes.counts[a], codes.counts[b])
            best = among_the_first(a - latents.start, level_of[b], phi, settings.partners)
            implied = together >= settings.conditional * smaller
            possible = best | (implied & (log_p <= np.log(settings.fdr)))
            kept.append(tuple(values[possible] for values in (a, b, together, phi, log_p, best)))
            advance(latents.stop - latents.start)
    all_log_p = np.concatenate(tested) if tested else np.empty(0)
    if cut is None:
        cut = log_cut(all_log_p, n_tests, settings.fdr)
        if null is not None and cut > -np.inf:
            cut = _calibrated(all_log_p, n_tests, strata, null, settings)
    a, b, together, phi, log_p, best = (np.concatenate(columns) for columns in zip(*kept, strict=True))
    keep = best | (log_p <= cut)
    low, high = np.minimum(a, b)[keep], np.maximum(a, b)[keep]
    _, first = np.unique(low.astype(np.int64) * codes.d_sae + high, return_index=True)
    pick = np.flatnonzero(keep)[first]
    return Pairs(
        a=low[first],
        b=high[first],
        together=together[pick],
        phi=phi[pick],
        log_p=log_p[pick],
        significant=log_p[pick] <= cut,
        n_tests=n_tests,
        n_significant=int((all_log_p <= cut).sum()),
        cut=cut,
    )


def _calibrated(
    log_p: np.ndarray, n_tests: int, strata: Strata, null: Callable[[int], CodeTable], settings: PairSettings
) -> float:
    drawn, cut = np.empty(0), -np.inf
    for n in range(MOST_NULLS):
        drawn = np.concatenate([drawn, _all_log_p(null(n), strata, settings)])
        cut = calibrated_cut(log_p, drawn, n_tests, settings.fdr, n + 1)
        if (drawn <= cut).sum() >= ENOUGH_FALSE:
            break
    return cut


def _all_log_p(codes: CodeTable, strata: Strata, settings: PairSettings) -> Float[np.ndarray, " pairs"]:
    """Of all notable pairs of shifted codes; `strata`: of the codes, which shifts leave as they are."""
    eligible, found = codes.counts >= settings.min_tokens, [np.empty(0)]
    for latents, counts in count_together(codes):
        a, b, _, log_p = _notable(codes, strata, eligible, latents, counts, settings)
        found.append(log_p[a < b])
    return np.concatenate(found)


def _notable(
    codes: CodeTable,
    strata: Strata,
    eligible: np.ndarray,
    latents: slice,
    counts: sp.csr_matrix,
    settings: PairSettings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Latent a, latent b, rows together, log p of the block's notable pairs (both orders of a pair inside it)."""
    a = np.repeat(np.arange(latents.start, latents.stop), np.diff(counts.indptr))
    b, together = counts.indices.astype(np.int64), counts.data.astype(np.int64)
    keep = (together >= settings.min_together) & (a != b) & eligible[a] & eligible[b]
    a, b, together = a[keep], b[keep], together[keep]
    expected, variance = strata.chance(latents, a, b)
    keep = together - expected >= NOTABLE_Z * np.sqrt(variance)
    keep &= together > expected * (1 + 1e-9)
    a, b, together = a[keep], b[keep], together[keep]
    return a, b, together, log_tail(together, expected[keep], variance[keep])


def phi_of(together: np.ndarray, n_a: np.ndarray, n_b: np.ndarray, n_rows: int) -> Float[np.ndarray, " pairs"]:
    """Pearson's correlation of firing."""
    a, b = n_a / n_rows, n_b / n_rows
    spread = np.sqrt(a * (1 - a) * b * (1 - b))
    return (together / n_rows - a * b) / np.where(spread > 0, spread, 1.0)


def lift_of(together: np.ndarray, n_a: np.ndarray, n_b: np.ndarray, n_rows: int) -> Float[np.ndarray, " pairs"]:
    """Rows on which both fire / the number expected if they fired independently."""
    return together * (n_rows / n_a) / n_b


def among_the_first(
    group: np.ndarray, level: np.ndarray, strength: np.ndarray, count: int
) -> Bool[np.ndarray, " pairs"]:
    """Whether each is among the `count` strongest of its (group, level)."""
    order = np.lexsort((-strength, level, group))
    key = group[order].astype(np.int64) * (int(level.max(initial=0)) + 1) + level[order]
    new = np.concatenate([[True], np.diff(key) != 0]) if len(key) else np.empty(0, bool)
    rank = np.arange(len(key)) - np.maximum.accumulate(np.where(new, np.arange(len(key)), 0))
    out = np.zeros(len(key), dtype=bool)
    out[order] = rank < count
    return out
