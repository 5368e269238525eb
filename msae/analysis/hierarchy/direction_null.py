"""How near directions of a dictionary are by chance: any two, and the nearest of a whole group.

The null deals out the coordinates along the principal axes anew, each among all latents: the directions are then as
spread out as the dictionary is, and otherwise unrelated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.core.rng import numpy_stream

NULL_PAIRS = 1 << 18
QUANTILE = 0.999
ENOUGH, FEWEST_DRAWS, MOST_DRAWS = 10_000, 2, 20
"""A group's nearest cosines wanted for a 99.9th percentile, and how often the null is drawn for them."""
BLOCK_NUMBERS = 1 << 24


def dealt_out(directions: Float[Tensor, "n d_in"], generator: np.random.Generator) -> Iterator[Float[Tensor, "n d_in"]]:
    """Draws of the null, without end; unit rows, float64."""
    axes = torch.linalg.eigh(directions.T.double() @ directions.double()).eigenvectors
    coordinates = (directions.double() @ axes).numpy()
    while True:
        dealt = coordinates.copy()
        for axis in range(dealt.shape[1]):
            dealt[:, axis] = generator.permutation(dealt[:, axis])
        dealt /= np.maximum(np.linalg.norm(dealt, axis=1, keepdims=True), 1e-12)
        yield torch.from_numpy(dealt)


def cosine_null(directions: Float[Tensor, "n d_in"], quantile: float, *, seed: int = 0) -> float:
    """The quantile of the cosine of any two directions of the null. It says nothing of the nearest of many: for that
    see `nearest_null`."""
    generator = numpy_stream(seed, "analysis/cosine-null")
    dealt = next(dealt_out(directions, generator)).numpy()
    n = len(dealt)
    if n < 2:
        return 1.0
    a = generator.integers(n, size=NULL_PAIRS)
    b = (a + generator.integers(1, n, size=NULL_PAIRS)) % n
    chunks = [slice(i, i + (1 << 14)) for i in range(0, NULL_PAIRS, 1 << 14)]
    cosines = np.concatenate([np.einsum("ij,ij->i", dealt[a[part]], dealt[b[part]]) for part in chunks])
    return float(np.quantile(cosines, quantile))


@dataclass(frozen=True, kw_only=True)
class NearestNull:
    """Two groups of the null. `least`: the 99.9th percentile of the cosine of a direction of one with its nearest of
    the other, the larger of the two. `expected`: pairs a draw that are each other's nearest and nearer than that."""

    least: float
    expected: float


def nearest_null(
    directions: Float[Tensor, "n d_in"], group: Int[np.ndarray, " n"], *, seed: int = 0
) -> dict[tuple[int, int], NearestNull]:
    """For every two groups g < h that hold directions, how near the nearest comes by chance.

    Two draws of the null at least and 20 at most, until the smaller group has given 10,000 nearest cosines. At most
    2²⁴ cosines are held at once.
    """
    places = {int(g): np.flatnonzero(group == g) for g in np.unique(group)}
    pairs = [(g, h) for g in places for h in places if g < h]
    draws = {
        (g, h): int(np.clip(-(-ENOUGH // min(len(places[g]), len(places[h]))), FEWEST_DRAWS, MOST_DRAWS))
        for g, h in pairs
    }
    found: dict[tuple[int, int], list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {pair: [] for pair in pairs}
    null = dealt_out(directions, numpy_stream(seed, "analysis/nearest-null")) if pairs else iter(())
    for draw in range(max(draws.values(), default=0)):
        dealt = next(null).float()
        for g, h in pairs:
            if draw < draws[g, h]:
                found[g, h].append(both_ways(dealt[places[g]], dealt[places[h]]))
    return {pair: _summary(own) for pair, own in found.items()}


def both_ways(
    x: Float[Tensor, "m d_in"], y: Float[Tensor, "n d_in"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"], Float[np.ndarray, " mutual"]]:
    """The cosine of each unit row of `x` with its nearest of `y`, of each of `y` with its nearest of `x`, and of those
    that are each other's nearest."""
    of_x, nearest_x = torch.empty(len(x)), torch.empty(len(x), dtype=torch.long)
    of_y, nearest_y = torch.full((len(y),), -2.0), torch.zeros(len(y), dtype=torch.long)
    size = max(1, BLOCK_NUMBERS // len(y))
    for first in range(0, len(x), size):
        cosines = x[first : first + size] @ y.T
        of_x[first : first + size], nearest_x[first : first + size] = cosines.max(dim=1)
        best, where = cosines.max(dim=0)
        nearer = best > of_y
        of_y, nearest_y = torch.where(nearer, best, of_y), torch.where(nearer, where + first, nearest_y)
    mutual = nearest_y[nearest_x] == torch.arange(len(x))
    return of_x.numpy(), of_y.numpy(), of_x[mutual].numpy()


def _summary(draws: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> NearestNull:
    of_x, of_y, mutual = (np.concatenate(parts) for parts in zip(*draws, strict=True))
    least = float(max(np.quantile(of_x, QUANTILE), np.quantile(of_y, QUANTILE)))
    return NearestNull(least=least, expected=float((mutual > least).sum() / len(draws)))


__all__ = ["NearestNull", "both_ways", "cosine_null", "dealt_out", "nearest_null"]
