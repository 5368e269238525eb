"""How often two latents fire together by chance, given how often each fires in each document.

Tokens of a document are alike: two latents of one subject fire together more than their densities say, and have nothing
else to do with each other. So chance is taken within documents. Where p fires on a_d and c on b_d of the L_d rows of
document d, the rows of each being as likely as any others, they fire together on

    E = Σ_d a_d b_d / L_d      with variance      V = Σ_d a_d (L_d − a_d) b_d (L_d − b_d) / (L_d² (L_d − 1))

rows. Circular shifts within documents keep every a_d, so that E is the mean over shifts, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from msae.analysis.sample.code_table import CodeTable


def counts_within(codes: CodeTable, group: Int[np.ndarray, " rows"], n_groups: int) -> sp.csr_matrix:
    """On how many rows of each group each latent fires, (d_sae, groups). `group`: of every row."""
    parts = []
    for latents in codes.latent_blocks():
        start = codes.latent_start[latents.start : latents.stop + 1]
        local = np.repeat(np.arange(latents.stop - latents.start), np.diff(start))
        own = group[codes.row[int(start[0]) : int(start[-1])]]
        ones = np.ones(len(own), np.int64)
        parts.append(sp.csr_matrix((ones, (local, own)), shape=(latents.stop - latents.start, n_groups)))
    return sp.vstack(parts, format="csr")


@dataclass(frozen=True, kw_only=True)
class Strata:
    """The rows that are as likely as each other: those between two `bounds`. `counts`: rows on which each latent fires
    in each."""

    counts: sp.csr_matrix
    lengths: Int[np.ndarray, " strata"]

    @classmethod
    def of(cls, codes: CodeTable, bounds: Int[np.ndarray, " bounds"]) -> Strata:
        """Those of a sample."""
        lengths = np.diff(bounds)
        document = np.repeat(np.arange(len(lengths)), lengths)
        return cls(counts=counts_within(codes, document, len(lengths)), lengths=lengths)

    def chance(
        self, latents: slice, a: Int[np.ndarray, " pairs"], b: Int[np.ndarray, " pairs"]
    ) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
        """E and V of pairs whose `a` lies in `latents`."""
        if len(a) == 0:
            return np.zeros(0), np.zeros(0)
        length = self.lengths.astype(np.float64)
        own = self.counts.astype(np.float64)
        either = own.copy()
        either.data *= length[own.indices] - own.data  # a_d (L_d − a_d)
        per_pair = np.where(length > 1, 1 / (length**2 * np.maximum(length - 1, 1)), 0.0)
        at = (a - latents.start, b)
        expected = sp.csr_matrix(own[latents] @ sp.diags(1 / length) @ own.T)
        variance = sp.csr_matrix(either[latents] @ sp.diags(per_pair) @ either.T)
        return np.asarray(expected[at]).ravel(), np.asarray(variance[at]).ravel()
