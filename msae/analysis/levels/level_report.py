"""Do these prefixes behave like levels? What each reconstructs, held against other latents of the same number.

The prefix widths of a foreign SAE may be a guess, and one that was trained without nesting has none. If a prefix is a
level, its latents reconstruct more than as many drawn at random, and more than the densest as many: the first latents
of a nested SAE are dense, so density alone explains a part of what they reconstruct. The rest is what nesting did.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from msae.activations.store import ActivationStore
from msae.analysis.sample.pairing import evaluating
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import MismatchError
from msae.core.numerics import RowArray, as_rows
from msae.core.rng import torch_stream
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.metrics import LevelAccumulator
from msae.sae.reorder import reordered

ROWS_A_BATCH = 4096


class Verdict(Enum):
    """What the comparison says of one prefix."""

    LEVEL = "reconstructs more than the densest latents of the same number: it behaves like a level"
    DENSE = "reconstructs more than random latents of the same number, and no more than the densest"
    RANDOM = "reconstructs no more than random latents of the same number: nothing says that this is a level"
    WHOLE = "the whole dictionary"


@dataclass(frozen=True, kw_only=True)
class LevelEvidence:
    """One prefix. FVU on the same rows, without sinks (`msae.core.sinks`): of the prefix, of `n` random orders (mean,
    standard error, lowest), and of the order by density, densest first."""

    width: int
    fvu: float
    random_fvu: float
    random_standard_error: float
    random_lowest: float
    densest_fvu: float
    verdict: Verdict


@checked
def level_report(
    sae: SparseAutoencoder,
    rows: ActivationStore | RowArray,
    *,
    n_tokens: int = 32_768,
    n_random: int = 5,
    seed: int = 0,
) -> tuple[LevelEvidence, ...]:
    """Every prefix of `sae` on the first `n_tokens` rows, the null being `n_random` random orders of its own latents.

    Densities are taken on the same rows. The rows should be ones the SAE was not trained on: hand in ``store.holdout``.
    Costs ``n_random + 2`` passes. Raises `MismatchError` for rows of another width, `EvaluationError` without a row.
    """
    require(n_random >= 2, "n_random", n_random, "two random orders or more")
    if not isinstance(rows, ActivationStore):
        rows = as_rows(rows, what="the array of rows")
    width = rows.d_in if isinstance(rows, ActivationStore) else rows.shape[1]
    if width != sae.d_in:
        raise MismatchError(f"the SAE reads d_in = {sae.d_in} numbers, the rows have {width}")
    n_rows = min(len(rows), n_tokens)
    with evaluating(sae):
        own = _measured(sae, rows, n_rows)
        densest = own.counts.argsort(descending=True, stable=True)
        by_density = _fvus(_measured(reordered(sae, densest), rows, n_rows))
        generator = torch_stream(seed, "analysis/level-report")
        orders = [torch.randperm(sae.d_sae, generator=generator) for _ in range(n_random)]
        drawn = [_fvus(_measured(reordered(sae, order), rows, n_rows)) for order in orders]
    return tuple(
        LevelEvidence(
            width=prefix,
            fvu=fvu,
            random_fvu=statistics.fmean(random := [fvus[level] for fvus in drawn]),
            random_standard_error=statistics.stdev(random) / len(random) ** 0.5,
            random_lowest=min(random),
            densest_fvu=by_density[level],
            verdict=_verdict(fvu, min(random), by_density[level], whole=prefix == sae.d_sae),
        )
        for level, (prefix, fvu) in enumerate(zip(sae.prefix_widths, _fvus(own), strict=True))
    )


def _verdict(fvu: float, random_lowest: float, densest: float, *, whole: bool) -> Verdict:
    if whole:
        return Verdict.WHOLE
    if fvu >= random_lowest:
        return Verdict.RANDOM
    return Verdict.LEVEL if fvu < densest else Verdict.DENSE


def _measured(sae: SparseAutoencoder, rows: ActivationStore | Tensor, n_rows: int) -> LevelAccumulator:
    accumulator = LevelAccumulator(sae)
    for batch in _batches(rows, n_rows):
        accumulator.update(batch)
    return accumulator


def _batches(rows: ActivationStore | Tensor, n_rows: int) -> Iterator[Tensor]:
    for start in range(0, n_rows, ROWS_A_BATCH):
        stop = min(start + ROWS_A_BATCH, n_rows)
        yield rows.rows(start, stop) if isinstance(rows, ActivationStore) else rows[start:stop]


def _fvus(accumulator: LevelAccumulator) -> list[float]:
    return [figures.fvu_ordinary for figures in accumulator.figures()]
