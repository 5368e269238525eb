"""Looking for the best learning rate of a training run, and a rule for it over many runs: the maths of the study."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

OCTAVES = range(-16, 0)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training run. `shape`: the decay's. `dead_after`: as a fraction of the run."""

    source: str
    d_sae: int
    batch: int
    tokens: int
    lr: float
    warmup: float = 0.2
    decay: float = 0.2
    shape: Literal["linear", "cosine", "1-sqrt"] = "linear"
    auxk_alpha: float = 1 / 32
    auxk_every: int = 2
    auxk_residual: Literal["per_level", "full"] = "per_level"
    dead_after: float = 1 / 30
    beta1: float = 0.9
    beta2: float = 0.999
    grad_clip: float = 1.0

    @property
    def steps(self) -> int:
        return self.tokens // self.batch


def octave(lr: float) -> float:
    return 2.0 ** round(math.log2(lr))


@dataclass(frozen=True, kw_only=True)
class Search:
    """One cell's learning rates: their results by rate."""

    cell: Cell
    results: dict[float, dict[str, Any]] = field(repr=False)

    @property
    def scores(self) -> dict[float, float]:
        return {lr: result["score"] for lr, result in sorted(self.results.items()) if result["score"] is not None}

    @property
    def best(self) -> float:
        return min(self.scores, key=self.scores.__getitem__)

    @property
    def parabola(self) -> tuple[float, float, float] | None:
        """Least score, log2 of the rate where it lies, and half the curvature; None at an edge of the grid."""
        around = [self.scores.get(self.best * factor) for factor in (0.5, 1, 2)]
        return None if None in around else vertex(math.log2(self.best), *around)  # type: ignore[arg-type]

    def loss_at(self, lr: float) -> float:
        """By how much the score at `lr` lies above the best of the grid, as a fraction of it; interpolated."""
        rates, scores = list(self.scores), list(self.scores.values())
        where = math.log2(min(max(lr, rates[0]), rates[-1]))
        right = next(i for i in range(1, len(rates)) if where <= math.log2(rates[i]))
        share = where - math.log2(rates[right - 1])
        least = min(scores)
        straight = (1 - share) * scores[right - 1] + share * scores[right]
        if self.parabola and abs(where - math.log2(self.best)) <= 1:
            lowest, at, bend = self.parabola
            straight = lowest + bend * (where - at) ** 2
        return straight / least - 1


def vertex(centre: float, left: float, middle: float, right: float) -> tuple[float, float, float]:
    """The parabola through (centre − 1, left), (centre, middle), (centre + 1, right): its least value, where, bend."""
    bend, slope = (left + right) / 2 - middle, (right - left) / 2
    if bend <= 0:
        return middle, centre, 0.0
    return middle - slope**2 / (4 * bend), centre - slope / (2 * bend), bend


def search(train: Callable[[Cell], dict[str, Any]], start: Cell) -> Search:
    """Walk downhill from `start.lr` in factors of two, until the best rate has a worse one on either side."""
    results: dict[float, dict[str, Any]] = {}
    todo = [start.lr]
    while todo:
        for lr in todo:
            results[lr] = train(replace(start, lr=lr))
        found = Search(cell=start, results=results)
        centre = found.best if found.scores else min(results)
        todo = [lr for lr in (centre / 2, centre * 2) if lr not in results and math.log2(lr) in OCTAVES]
    return found


def fit(searches: list[Search]) -> dict[str, float]:
    """log lr = log c + a log d_sae + b log batch + s log steps: least squares over the vertices, weighted by the bend.

    A parabola's loss at a rate is bend · (distance from its vertex)², so this makes the mean relative loss least.
    """
    usable = [(found, found.parabola) for found in searches if found.parabola and found.parabola[2] > 0]
    names = ("c", "d_sae", "batch", "steps")
    if len(usable) < len(names):
        return {}
    sizes = [(found.cell.d_sae / 4096, found.cell.batch / 2048, found.cell.steps / 1000) for found, _ in usable]
    A = torch.tensor([[1.0, *map(math.log2, size)] for size in sizes], dtype=torch.float64)
    y = torch.tensor([[at] for _, (_, at, _) in usable], dtype=torch.float64)
    weight = torch.tensor([bend / least for _, (least, _, bend) in usable], dtype=torch.float64).sqrt()[:, None]
    solution = torch.linalg.lstsq(A * weight, y * weight, driver="gelsd").solution.squeeze(1).tolist()
    return dict(zip(names, [2 ** solution[0], *solution[1:]], strict=True))


def rate_of(rule: dict[str, float], cell: Cell) -> float:
    return (
        rule["c"]
        * (cell.d_sae / 4096) ** rule["d_sae"]
        * (cell.batch / 2048) ** rule["batch"]
        * (cell.steps / 1000) ** rule["steps"]
    )
