"""The self-check on load: an SAE's weights and what they do, against what was recorded when it was saved.

Weights are held against SHA-256 sums, one a level. What they do is held against the L0 and FVU of every level, and the
firing counts of every latent, on probe rows. The sums see every change, in latents too that are silent on the probe;
the probe sees what no sum can: another dtype, or code that computes something else from the same weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.core.errors import CheckpointError
from msae.sae.autoencoder import LevelRecord, SparseAutoencoder
from msae.sae.metrics import LevelAccumulator

MAX_PROBE_ROWS = 1024
BLOCK_ROWS = 256
BLOCK_LATENTS = 1024
L0_TOLERANCE, FVU_TOLERANCE, COUNT_TOLERANCE = 0.02, 0.01, 0.1
LEAVE = "or load(path, check=False) to look at it as it is."


@dataclass(frozen=True, kw_only=True)
class LevelSum:
    """SHA-256 of what belongs to the level that ends at `width`: `b_dec`, and of the latents that it adds the columns
    of `W_enc`, the rows of `W_dec`, `b_enc` and, where there is one, `threshold`."""

    width: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class WeightSums:
    """The sums of every level, of weights in `dtype`."""

    dtype: str
    levels: tuple[LevelSum, ...]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], widths: Sequence[int]) -> WeightSums:
        """Those of an SAE's tensors, by the names that `sae_weights.safetensors` has."""
        bounds = zip([0, *widths[:-1]], widths, strict=True)
        levels = tuple(LevelSum(width=stop, sha256=_sum(tensors, start, stop)) for start, stop in bounds)
        return cls(dtype=str(tensors["W_dec"].dtype).removeprefix("torch."), levels=levels)


def _sum(tensors: Mapping[str, Tensor], start: int, stop: int) -> str:
    """The sum of latents [start, stop): 1,024 at a time, so that no copy of all weights is made."""
    digest = hashlib.sha256(_bytes(tensors["b_dec"]))
    for first in range(start, stop, BLOCK_LATENTS):
        block = slice(first, min(stop, first + BLOCK_LATENTS))
        digest.update(_bytes(tensors["W_enc"][:, block].T))
        for name in ("b_enc", "W_dec", "threshold"):
            if name in tensors:
                digest.update(_bytes(tensors[name][block]))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def spread_rows(n_rows: int, most: int = MAX_PROBE_ROWS) -> list[int]:
    """At most `most` of `n_rows` row numbers, evenly spread: rows next to one another fire the same few latents."""
    return [i * n_rows // most for i in range(most)] if n_rows > most else list(range(n_rows))


@torch.no_grad()
def behaviour(
    sae: SparseAutoencoder, probe: Float[Tensor, "rows d_in"]
) -> tuple[list[LevelRecord], Int[Tensor, " d_sae"]]:
    """L0 and FVU of every level on the probe rows, and on how many of them each latent fires."""
    was_training = sae.training
    try:
        accumulator = LevelAccumulator(sae.eval())
        for block in probe.split(BLOCK_ROWS):
            accumulator.update(block)
    finally:
        sae.train(was_training)
    return list(accumulator.records()), accumulator.counts


def check_weights(tensors: Mapping[str, Tensor], widths: Sequence[int], recorded: WeightSums, path: Path) -> None:
    """Raise `CheckpointError` naming the levels whose weights are not those that were saved.

    Weights that another program has since converted to another dtype have no sums to be held against: the probe rows
    then stand alone.
    """
    if recorded.dtype != str(tensors["W_dec"].dtype).removeprefix("torch."):
        return
    saved_widths = [level.width for level in recorded.levels]
    if saved_widths != list(widths):
        raise CheckpointError(
            f"{path} has levels {tuple(widths)} in cfg.json and was saved with {tuple(saved_widths)}: copy it again, "
            "or load(path, widths=...) to name levels of your own"
        )
    found = WeightSums.of(tensors, widths)
    changed = [i for i, pair in enumerate(zip(found.levels, recorded.levels, strict=True)) if pair[0] != pair[1]]
    if changed:
        which = f"level{'s' if len(changed) > 1 else ''} {', '.join(map(str, changed))}"
        raise CheckpointError(
            f"{path} does not hold the weights that were saved: those of {which} of {len(widths)} have another "
            f"SHA-256. They were changed or damaged; copy it again, {LEAVE}"
        )


def check_behaviour(
    sae: SparseAutoencoder,
    probe: Float[Tensor, "rows d_in"],
    recorded: Sequence[LevelRecord],
    counts: Int[Tensor, " d_sae"] | None,
    path: Path,
) -> None:
    """Raise `CheckpointError` where the L0 or FVU of a level or (`counts`) the latents' firing is not as recorded.

    L0 may be off by 2% and FVU by 1%, and Σ|n − n₀| of a level's latents by 10% of Σn₀, the probe rows each fires on:
    other hardware, or a rounder dtype, moves pre-activations across a threshold.
    """
    if [figures.width for figures in recorded] != list(sae.prefix_widths):
        raise CheckpointError(f"{path} has levels {sae.prefix_widths}, its probe was measured on others: copy it again")
    now, fires = behaviour(sae, probe)
    for level, (measured, before) in enumerate(zip(now, recorded, strict=True)):
        l0_off = abs(measured.l0 - before.l0) > L0_TOLERANCE * max(1.0, before.l0)
        fvu_off = abs(measured.fvu - before.fvu) > FVU_TOLERANCE * max(1e-3, before.fvu)
        if l0_off or fvu_off:
            raise CheckpointError(
                f"{path} does not behave as when it was saved: at width {before.width} the probe rows give "
                f"L0 {measured.l0:.3f} (recorded {before.l0:.3f}) and FVU {measured.fvu:.5f} "
                f"(recorded {before.fvu:.5f}). Its weights were changed or damaged; copy it again, {LEAVE}"
            )
        if counts is None:
            continue
        band = sae.band(level)
        off, total = int((fires[band] - counts[band]).abs().sum()), int(counts[band].sum())
        if off > COUNT_TOLERANCE * max(total, len(probe) / 10):
            raise CheckpointError(
                f"{path} does not behave as when it was saved: other latents of level {level} fire on the probe rows "
                f"({off} of {total} firings differ). They were reordered or replaced; copy it again, {LEAVE}"
            )
