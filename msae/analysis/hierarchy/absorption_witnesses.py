"""What the activations say: is the parent's direction there on tokens of the child, beyond what the child's direction
brings along by lying near it?

With r = x − x̂ and y = r + f_c W_c, what is left of a row without the child, the parent is *needed* where

    ⟨y, W_p⟩ = cos · ⟨y, W_c⟩ + sin · ⟨y, u⟩ > the 10th percentile of p's nonzero activations

cos and sin are of the angle between the two, u the unit vector across W_c towards W_p. The first term is the child's
own: any direction of the same cosine has it. Only ⟨y, u⟩ = ⟨r, u⟩ tells the parent from them. An absorbed parent keeps
a magnitude of its own, while the child's direction has a fixed share of it: what is left varies along u. The witness is

    across = E⟨r, u⟩² / (E‖r‖² / d_in)       over tokens of c on which p is silent; 1 for a direction at random

The null turns other latents of the dictionary to the same cosine: u_j across W_c towards W_j. So it is as much part of
what the dictionary is used for as W_p is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from msae.analysis.hierarchy.residuals import residual_projections
from msae.analysis.sample import Collected
from msae.analysis.sample.code_table import evenly
from msae.core.rng import numpy_stream

DIRECTIONS = 16
MOST_QUERIES = 1 << 24
NO_RESIDUAL = 1e-8
"""Of E f_c²: below which a residual is rounding, and has no direction."""


@dataclass(frozen=True, kw_only=True)
class Silent:
    """Tokens of each pair on which the child fires and the parent does not (`pair` … `needed`: one a token; `floor` …
    `across`: one a pair). `silent_share`: all such tokens / tokens on which the child fires."""

    pair: Int[np.ndarray, " tokens"]
    row: Int[np.ndarray, " tokens"]
    value: Float[np.ndarray, " tokens"]
    projection: Float[np.ndarray, " tokens"]
    needed: Bool[np.ndarray, " tokens"]
    floor: Float[np.ndarray, " pairs"]
    silent_share: Float[np.ndarray, " pairs"]
    tested: Int[np.ndarray, " pairs"]
    across: Float[np.ndarray, " pairs"]

    @property
    def count(self) -> Int[np.ndarray, " pairs"]:
        """Tokens of each pair on which the parent is needed."""
        return np.bincount(self.pair[self.needed], minlength=len(self.tested))

    @property
    def rate(self) -> Float[np.ndarray, " pairs"]:
        """These over all tokens of the child."""
        return self.silent_share * self.count / np.maximum(self.tested, 1)

    @property
    def error(self) -> Float[np.ndarray, " pairs"]:
        """The binomial standard error of `rate`."""
        share = self.count / np.maximum(self.tested, 1)
        return self.silent_share * np.sqrt(share * (1 - share) / np.maximum(self.tested, 1))


def silent_tokens(
    collected: Collected, parent: Int[np.ndarray, " pairs"], child: Int[np.ndarray, " pairs"], tokens: int
) -> Silent:
    """At most `tokens` of each pair, evenly spaced."""
    codes = collected.codes
    floors = {p: float(np.quantile(codes.values_of(p), 0.1)) for p in np.unique(parent).tolist()}
    rows, n_silent = [], []
    for p, c in zip(parent.tolist(), child.tolist(), strict=True):
        of_child = codes.rows_of(c)
        silent = of_child[~codes.fires_at(p, of_child)]
        rows.append(evenly(silent, tokens))
        n_silent.append(len(silent))
    lengths = np.array([len(drawn) for drawn in rows], dtype=np.int64)
    pair = np.repeat(np.arange(len(parent)), lengths)
    row = np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int64)
    value = np.concatenate([np.empty(0, np.float32), *map(codes.values_at, child.tolist(), rows)])
    along_parent, energy = residual_projections(collected, row, parent[pair])
    along_child, _ = residual_projections(collected, row, child[pair])
    cosine = collected.cosine(parent, child)
    across = _across(along_parent, along_child, cosine[pair])
    floor = np.array([floors[p] for p in parent.tolist()])
    projection = along_parent + value * cosine[pair]
    of_across, of_energy, of_value = (
        np.bincount(pair, weights=each, minlength=len(parent)) for each in (across**2, energy, value**2)
    )
    return Silent(
        pair=pair,
        row=row,
        value=value,
        projection=projection,
        needed=projection > floor[pair],
        floor=floor,
        silent_share=np.array(n_silent) / np.maximum(codes.counts[child], 1),
        tested=lengths,
        across=_ratio(of_across, of_energy, of_value, collected.sae.d_in),
    )


@dataclass(frozen=True, kw_only=True)
class Turned:
    """A child's tokens (at most so many), and other latents turned to any cosine with it: ⟨y, W_c⟩ and the ⟨y, u_j⟩ of
    each token, and `across` of each direction."""

    row: Int[np.ndarray, " tokens"]
    along: Float[np.ndarray, " tokens"]
    beyond: Float[np.ndarray, "tokens directions"]
    across: Float[np.ndarray, " directions"]

    def rate(self, silent: Bool[np.ndarray, " tokens"], cosine: float, floor: float) -> float:
        """The share of the tokens on which a direction of that cosine is needed, where the parent is silent."""
        sine = np.sqrt(max(0.0, 1 - cosine**2))
        needed = cosine * self.along[:, None] + sine * self.beyond > floor
        return float(needed[silent].sum() / needed.size) if needed.size else np.nan


def turned_directions(
    collected: Collected,
    children: Int[np.ndarray, " children"],
    suspects: Mapping[int, Int[np.ndarray, " _"]],
    tokens: int,
    *,
    seed: int = 0,
) -> dict[int, Turned]:
    """For each child, 16 live latents that are not among its `suspects` (fewer where there are not as many), drawn by
    `seed`; on at most `tokens` of its tokens, and fewer where all together would be more than 2²⁴ projections."""
    codes, generator = collected.codes, numpy_stream(seed, "analysis/turned-directions")
    alive = np.flatnonzero(codes.counts)
    tokens = max(32, min(tokens, MOST_QUERIES // (DIRECTIONS * max(len(children), 1))))
    drawn, rows = [], []
    for c in children.tolist():
        others = np.setdiff1d(alive, np.append(suspects.get(c, np.empty(0, np.int64)), c))
        drawn.append(generator.permutation(others)[:DIRECTIONS])
        rows.append(evenly(codes.rows_of(c), tokens).astype(np.int64))
    n_rows = np.array([len(own) for own in rows], dtype=np.int64)
    n_drawn = np.array([len(own) for own in drawn], dtype=np.int64)
    flat = np.concatenate([np.empty(0, np.int64), *rows])
    along_child, energy = residual_projections(collected, flat, np.repeat(children, n_rows))
    asked = [np.repeat(own, len(others)) for own, others in zip(rows, drawn, strict=True)]
    latents = [np.tile(others, len(own)) for own, others in zip(rows, drawn, strict=True)]
    along, _ = residual_projections(
        collected, np.concatenate([np.empty(0, np.int64), *asked]), np.concatenate([np.empty(0, np.int64), *latents])
    )
    out, first, place = {}, 0, 0
    for c, own, others, n, m in zip(children.tolist(), rows, drawn, n_rows.tolist(), n_drawn.tolist(), strict=True):
        cosine = collected.cosine(others, np.full(m, c))
        mine, own_energy = along_child[first : first + n], energy[first : first + n]
        value = codes.values_at(c, own)
        beyond = _across(along[place : place + n * m].reshape(n, m), mine[:, None], cosine)
        across = _ratio(
            (beyond**2).sum(0), own_energy.sum(keepdims=True), (value**2).sum(keepdims=True), collected.sae.d_in
        )
        out[c] = Turned(row=own, along=mine + value, beyond=beyond, across=across)
        first, place = first + n, place + n * m
    return out


def _across(along_other: np.ndarray, along_child: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """⟨r, u⟩ from ⟨r, W_other⟩ and ⟨r, W_c⟩."""
    sine = np.sqrt(np.maximum(1 - np.square(cosine, dtype=np.float64), 1e-12))
    return (along_other.astype(np.float64) - cosine * along_child) / sine


def _ratio(across: np.ndarray, energy: np.ndarray, value: np.ndarray, d_in: int) -> np.ndarray:
    """E⟨r, u⟩² / (E‖r‖² / d_in) from sums over the same tokens; 0 where the residual is rounding."""
    known = np.broadcast_to(energy > NO_RESIDUAL * value, across.shape)
    return np.divide(across * d_in, energy, out=np.zeros(across.shape), where=known)


__all__ = ["Silent", "Turned", "silent_tokens", "turned_directions"]
