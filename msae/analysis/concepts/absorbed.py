"""When a token's concept is absorbed: the published definitions, each on the codes of tokens that a probe finds right.

With f the codes of the prefix, d the probe's unit direction, cos_j = ⟨W_dec_j, d⟩, p = ⟨x, d⟩ and the concept's *main
latents* (see `probing.code_probes`):

``saebench_full``       all main latents are off, and the latent with the largest f_j cos_j has cos_j ≥ 0.025 and
                        f_j cos_j ≥ 0.4 p (Karvonen et al. 2025, arXiv:2503.09532, *full absorption*)
``saebench_fraction``   a number from 0 to 1: with A the sum of the three largest f_j cos_j > 0 of latents that are not
                        main and have cos_j ≥ 0.1, and M that of the main latents: 0 when A < 0.4 p or M ≥ p, 1 when
                        M ≤ 0, else a / (a + M) with a = min(A, p − M) (the same, *absorption fraction*)
``probe_ablation``      the test of Chanin et al. (2024, arXiv:2409.14507) with the probe's own logit in place of the
                        model's: all main latents are off; of the effects −f_j ⟨W_dec_j, w⟩ that ablating a latent has
                        on the logit ⟨w, x⟩ + b (integrated gradients of a linear function are exact: this is all of
                        it) the largest is negative, exceeds the second by 1.0, and is of a latent with cos_j ≥ 0.025
``chanin_2409``         the same with the model's own logit of the concept: see `spelled`
``main_silent``         all main latents are off: the first condition of every definition but the second

The null keeps a concept's main latents, and gives the token other codes of all others: how often another latent carries
the direction by chance where the main ones are off. (With main latents exchanged too they would be off nearly always,
and chance come out too large.)

Numbers are per token; a rate is their mean over the tokens on which the probe, rightly, says that the concept is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from msae.analysis.sample import CodeTable
from msae.analysis.sample.code_table import ranges

SILENT = 1e-8
FULL_COSINE, FRACTION_COSINE, LEAST_SHARE, MOST_ABSORBERS = 0.025, 0.1, 0.4, 3
LEAD = 1.0
NO_LATENT = -1


@dataclass(frozen=True, kw_only=True)
class TokenCodes:
    """The codes of some tokens, padded: `latent[t, i]` fires with `value[t, i]`; beyond a token's codes −1 and 0."""

    latent: Int[np.ndarray, "tokens most"]
    value: Float[np.ndarray, "tokens most"]

    @classmethod
    def of(cls, codes: CodeTable, rows: Int[np.ndarray, " tokens"]) -> TokenCodes:
        """Those of the rows."""
        begin = codes.row_start[rows]
        lengths = codes.row_start[rows + 1] - begin
        token = np.repeat(np.arange(len(rows)), lengths)
        place = np.arange(len(token)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        index = ranges(begin, lengths)
        latent = np.full((len(rows), max(1, int(lengths.max(initial=0)))), NO_LATENT, dtype=np.int64)
        value = np.zeros(latent.shape)
        latent[token, place], value[token, place] = codes.latent[index], codes.value[index]
        return cls(latent=latent, value=value)

    def below(self, width: int) -> TokenCodes:
        """The codes of a prefix."""
        inside = self.latent < width
        return TokenCodes(latent=np.where(inside, self.latent, NO_LATENT), value=np.where(inside, self.value, 0.0))

    def with_own(self, own: TokenCodes, latents: Int[np.ndarray, " m"]) -> TokenCodes:
        """The same, but for the codes of `latents`, which are those in `own`."""
        others, kept = ~np.isin(self.latent, latents), own.are(latents)
        return TokenCodes(
            latent=np.hstack([np.where(others, self.latent, NO_LATENT), np.where(kept, own.latent, NO_LATENT)]),
            value=np.hstack([np.where(others, self.value, 0.0), np.where(kept, own.value, 0.0)]),
        )

    def along(self, per_latent: Float[np.ndarray, " d_sae"]) -> Float[np.ndarray, "tokens most"]:
        """f_j times a number of each latent's."""
        return self.value * per_latent[self.latent]

    def are(self, latents: Int[np.ndarray, " m"]) -> Bool[np.ndarray, "tokens most"]:
        """Which codes are of one of `latents`."""
        return np.isin(self.latent, latents) & (self.value != 0)


def silent(codes: TokenCodes, main: Int[np.ndarray, " m"]) -> Bool[np.ndarray, " tokens"]:
    """``main_silent``."""
    return np.logical_not((codes.are(main) & (codes.value >= SILENT)).any(axis=1))


def saebench_full(
    codes: TokenCodes,
    cosine: Float[np.ndarray, " d_sae"],
    projection: Float[np.ndarray, " tokens"],
    main: Int[np.ndarray, " m"],
) -> tuple[Bool[np.ndarray, " tokens"], Int[np.ndarray, " tokens"]]:
    """``saebench_full`` of each token, and the latent with the largest projection (−1: none has a positive one)."""
    share = codes.along(cosine)
    top, largest = _leading(codes, share)
    aligned = cosine[top] >= FULL_COSINE
    absorbed = silent(codes, main) & (largest > 0) & aligned & (projection >= 0) & (largest >= LEAST_SHARE * projection)
    return absorbed, np.where(largest > 0, top, NO_LATENT)


def saebench_fraction(
    codes: TokenCodes,
    cosine: Float[np.ndarray, " d_sae"],
    projection: Float[np.ndarray, " tokens"],
    main: Int[np.ndarray, " m"],
) -> Float[np.ndarray, " tokens"]:
    """``saebench_fraction`` of each token."""
    share = codes.along(cosine)
    is_main = codes.are(main)
    of_main = np.where(is_main, share, 0.0).sum(axis=1)
    others = np.where(~is_main & (cosine[codes.latent] >= FRACTION_COSINE), np.maximum(share, 0.0), 0.0)
    absorbing = -np.sort(-others, axis=1)[:, :MOST_ABSORBERS].sum(axis=1)
    none = (of_main >= projection) | ~(_ratio(absorbing, projection) >= LEAST_SHARE)
    taken = np.minimum(absorbing, projection - of_main)
    return np.where(none, 0.0, np.where(of_main <= 0, 1.0, np.clip(_ratio(taken, taken + of_main), 0.0, 1.0)))


def ablation(
    codes: TokenCodes,
    cosine: Float[np.ndarray, " d_sae"],
    effect: Float[np.ndarray, "tokens most"],
    main: Int[np.ndarray, " m"],
) -> tuple[Bool[np.ndarray, " tokens"], Int[np.ndarray, " tokens"]]:
    """The test of Chanin et al. on the effect that ablating each code has on a logit, in the order of `codes`; and the
    latent with the largest effect (−1: none fires)."""
    size = np.abs(effect)
    ordered = -np.sort(-size, axis=1)
    second = ordered[:, 1] if size.shape[1] > 1 else np.zeros(len(size))
    best = np.argmax(size, axis=1)
    rows = np.arange(len(size))
    falls = effect[rows, best] <= 0
    top = codes.latent[rows, best]
    return silent(codes, main) & falls & (ordered[:, 0] - second >= LEAD) & (cosine[top] >= FULL_COSINE), top


def _leading(codes: TokenCodes, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    best = np.argmax(np.where(codes.latent == NO_LATENT, -np.inf, share), axis=1)
    rows = np.arange(len(best))
    return codes.latent[rows, best], share[rows, best]


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
