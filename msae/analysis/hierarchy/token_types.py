"""Which token types a latent fires on: the null model of token identity, and what it leaves to explain.

Under it every latent's codes are dealt out anew among the occurrences of the same token: which tokens it fires on is
kept, and nothing of the context. With N_t tokens of type t, on k_t of which p fires and on n_t of which c does, the two
then fire together on Σ_t n_t k_t / N_t tokens on average.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from msae.analysis.sample import CodeTable, Origin
from msae.analysis.sample.strata import counts_within

BLOCK_LATENTS = 256


@dataclass(frozen=True, kw_only=True)
class TokenTypes:
    """`counts`: on how many tokens of each type each latent fires. `total`: tokens of each type. `of_row`: the type of
    each row, as a column of `counts`."""

    counts: sp.csr_matrix
    total: Int[np.ndarray, " types"]
    of_row: Int[np.ndarray, " rows"]

    @classmethod
    def of(cls, codes: CodeTable, origin: Origin) -> TokenTypes:
        """Those of a sample."""
        ids, of_row, total = np.unique(origin.token_id, return_inverse=True, return_counts=True)
        counts = counts_within(codes, of_row, len(ids))
        return cls(counts=counts, total=total, of_row=of_row.astype(np.int32))

    def expected_together(self) -> Iterator[tuple[slice, Float[np.ndarray, "block latents"]]]:
        """For blocks of latents, on how many tokens each is expected to fire together with every latent."""
        share = sp.diags_array(1 / self.total)
        every = self.counts.T.tocsr().astype(np.float64)
        n_latents = self.counts.shape[0]
        for first in range(0, n_latents, BLOCK_LATENTS):
            block = slice(first, min(first + BLOCK_LATENTS, n_latents))
            yield block, (self.counts[block].astype(np.float64) @ share @ every).toarray()

    def expected_of(self, a: Int[np.ndarray, " pairs"], b: Int[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
        """The same of chosen pairs; 2¹² pairs are held at once."""
        out = np.empty(len(a))
        share = sp.diags_array(1 / self.total)
        for first in range(0, len(a), 1 << 12):
            part = slice(first, first + (1 << 12))
            own = self.counts[a[part]].astype(np.float64) @ share
            out[part] = np.asarray(own.multiply(self.counts[b[part]]).sum(axis=1)).ravel()
        return out


@dataclass(frozen=True, kw_only=True)
class Hole:
    """`hole`: E over c's tokens [P(p fires | same token type, c silent) − P(p fires | c fires)], with its `error`.

    `tokens`: c's tokens it is taken over; `left_out`: those whose type never occurs with c silent, which say nothing.
    """

    hole: float
    error: float
    tokens: int
    left_out: int


def hole(codes: CodeTable, types: TokenTypes, document: Int[np.ndarray, " rows"], parent: int, child: int) -> Hole:
    """The hole that `child` makes in `parent`'s firing. Large where a child has absorbed its parent, and also where the
    two stand for exclusive senses of one token: it is a witness beside that of the geometry, and none without it.

    The error is the larger of two: that over documents (tokens of one are not independent), and that of firing at
    random at each type's rate, as it would without any hole; both with the error of those rates themselves.
    """
    rows = codes.rows_of(child)
    both = codes.fires_at(parent, rows)
    own = types.of_row[rows]
    n_types = len(types.total)
    n_child = np.bincount(own, minlength=n_types)
    silent = types.total - n_child
    fires = types.counts[[parent]].toarray().ravel() - np.bincount(own[both], minlength=n_types)
    rate = fires / np.maximum(silent, 1)
    kept = silent[own] > 0
    n = int(kept.sum())
    if n == 0:
        return Hole(hole=np.nan, error=np.nan, tokens=0, left_out=len(rows))
    expected = rate[own[kept]]
    each = expected - both[kept]
    value = float(each.mean())
    starts = np.concatenate([[0], np.flatnonzero(np.diff(document[rows[kept]])) + 1])
    clustered = np.square(np.add.reduceat(each - value, starts)).sum()
    guarded = (fires + 0.5) / (silent + 1)  # a rate seen on few tokens is not known to be 0 or 1
    spread = guarded * (1 - guarded)
    used = np.bincount(own[kept], minlength=n_types)
    at_random, of_rates = (used * spread).sum(), (used**2 * spread / np.maximum(silent, 1)).sum()
    return Hole(
        hole=value,
        error=float(np.sqrt(max(clustered, at_random) + of_rates) / n),
        tokens=n,
        left_out=len(rows) - n,
    )


__all__ = ["Hole", "TokenTypes", "hole"]
