"""Finding the few pre-activations that can be selected, without ever holding all of them.

The encoder's product is made a block of latents at a time, and only entries above a floor leave a block. The floor
comes from the last batch; it is a guess that decides how much work is done, never what is found: when too few entries
pass, the search goes on until the selection is certain, so the result equals that of a dense search.

Where the processor multiplies bf16 much faster than fp32, blocks are screened in bf16. Rounding to bf16 is off by at
most u = 2⁻⁸ of a number, so by Cauchy–Schwarz a product is off by at most (2u + u²) ‖x‖‖w‖; summing d_in terms in
float32 adds at most d_in · 2⁻²³ ‖x‖‖w‖, and the result is rounded once more. A floor lowered by that much loses
nothing; the entries that pass are computed in fp32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.sae.activation_fns import BatchTopK, JumpReLU, TopK, counts_per_row, largest
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.products import sampled_product, stable_order
from msae.sae.kernels.scan import entries_above

FLOOR_RATIO = 0.9
SAMPLE_ROWS = 64
BF16 = 2.0**-8
BF16_PRODUCT = 2 * BF16 + BF16**2
FLOAT32 = 2.0**-23
BF16_PAYS_ABOVE = 1 << 28


@dataclass(frozen=True)
class Entries:
    """Some (row, latent) entries of a batch's pre-activations, sorted by row, then latent."""

    row: Int[Tensor, " n"]
    latent: Int[Tensor, " n"]
    pre: Float[Tensor, " n"]

    def where(self, keep: Bool[Tensor, " n"]) -> Entries:
        """The entries at which `keep` holds."""
        return Entries(self.row[keep], self.latent[keep], self.pre[keep])


class CandidateFinder:
    """Finds the entries an activation function selects. `block`: the most pre-activations held at once."""

    def __init__(self, block: int) -> None:
        self.block = block
        self._floor: float | None = None

    def selected(self, sae: SparseAutoencoder, centred: Float[Tensor, "batch d_in"]) -> Entries:
        """Exactly the entries that fire while training (for JumpReLU also those within ε/2 below θ).

        `centred`: x − b_dec.
        """
        fn = sae.activation_fn
        if isinstance(fn, BatchTopK):
            return self._batch_top_k(sae, centred, fn)
        if isinstance(fn, TopK):
            return self._row_top_k(sae, centred, fn)
        if isinstance(fn, JumpReLU):
            floor = sae.threshold - fn.bandwidth / 2
            return self.above(sae, centred, floor)
        return self.above(sae, centred, torch.zeros((), dtype=sae.dtype, device=sae.device))

    def _batch_top_k(self, sae: SparseAutoencoder, centred: Tensor, fn: BatchTopK) -> Entries:
        budget = fn.budget(centred.shape[0])
        floor = self._floor if self._floor is not None else self._sampled_floor(sae, centred, fn.k)
        entries = self.above(sae, centred, _scalar(sae, floor))
        while len(entries.pre) < budget and floor > 0:
            floor = min(FLOOR_RATIO * self._sampled_floor(sae, centred, fn.k), 0.7 * floor)
            floor = floor if floor > 1e-3 else 0.0
            entries = self.above(sae, centred, _scalar(sae, floor))
        chosen = entries.where(largest(entries.pre, budget))
        lowest = FLOOR_RATIO * chosen.pre.min().item() if len(chosen.pre) == budget else 0.0
        self._floor = lowest if math.isfinite(lowest) else 0.0
        return chosen

    def _row_top_k(self, sae: SparseAutoencoder, centred: Tensor, fn: TopK) -> Entries:
        n_rows = centred.shape[0]
        floor = self._floor if self._floor is not None else 0.5 * self._sampled_floor(sae, centred, fn.k)
        entries = self.above(sae, centred, _scalar(sae, floor))
        short = (counts_per_row(entries.row, n_rows) < fn.k).nonzero().squeeze(1)
        if floor > 0 and len(short):
            again = self.above(sae, centred[short], _scalar(sae, 0.0))
            enough = torch.ones(n_rows, dtype=torch.bool, device=centred.device)
            enough[short] = False
            kept = entries.where(enough[entries.row])
            entries = _by_row(
                torch.cat([kept.row, short[again.row]]),
                torch.cat([kept.latent, again.latent]),
                torch.cat([kept.pre, again.pre]),
                n_rows,
            )
        chosen = entries.where(_largest_in_each_row(entries, fn.k, n_rows))
        lowest = chosen.pre.new_full((n_rows,), torch.inf).scatter_reduce(0, chosen.row, chosen.pre, "amin")
        lowest = lowest[lowest.isfinite()].float()
        self._floor = max(0.0, 0.95 * torch.quantile(lowest, 0.01).item()) if len(lowest) else 0.0
        return chosen

    def _sampled_floor(self, sae: SparseAutoencoder, centred: Tensor, k: int | float) -> float:
        """A floor from a few rows: a little below the value that k entries a row exceed among them."""
        rows = centred[:: max(1, centred.shape[0] // SAMPLE_ROWS)]
        entries = self.above(sae, rows, _scalar(sae, 0.0))
        count = max(1, round(k * rows.shape[0]))
        if len(entries.pre) <= count:
            return 0.0
        floor = FLOOR_RATIO * torch.topk(entries.pre, count).values[-1].item()
        return floor if math.isfinite(floor) else 0.0

    def above(self, sae: SparseAutoencoder, centred: Tensor, floor: Tensor) -> Entries:
        """Every entry above `floor` (0-d, or one number per latent)."""
        n_columns = max(16, self.block // max(1, centred.shape[0]))
        in_bf16 = floor.ndim == 0 and _bf16_pays(sae, centred)
        search = _Bf16Search(sae, centred, floor) if in_bf16 else _PlainSearch(sae, centred, floor)
        parts = []
        for start in range(0, sae.d_sae, n_columns):
            row, latent, pre = search.block(slice(start, min(start + n_columns, sae.d_sae)))
            parts.append((row, latent + start, pre))
        row, latent, pre = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return _by_row(row, latent, pre, centred.shape[0])


class _PlainSearch:
    """Blocks of pre-activations in the SAE's own dtype; `floor` is 0-d or one number per latent."""

    def __init__(self, sae: SparseAutoencoder, centred: Tensor, floor: Tensor) -> None:
        self.sae, self.centred, self.floor = sae, centred, floor

    def block(self, columns: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Row, latent (counted from the block's first) and pre-activation of the entries above the floor."""
        pre = torch.addmm(self.sae.b_enc[columns], self.centred, self.sae.W_enc[:, columns])
        if self.floor.ndim == 0:
            row, latent = entries_above(pre, self.floor.expand(pre.shape[0]).contiguous())
        else:
            row, latent = (pre > self.floor[columns]).nonzero(as_tuple=True)
        return row, latent, pre[row, latent]


class _Bf16Search:
    """Blocks made in bf16 and searched above a lowered floor; what passes is computed exactly and searched again."""

    def __init__(self, sae: SparseAutoencoder, centred: Tensor, floor: Tensor) -> None:
        self.sae, self.centred, self.floor = sae, centred, floor
        self._rounded = centred.bfloat16()
        self._slack = (BF16_PRODUCT + sae.d_in * FLOAT32) * centred.norm(dim=1)

    def block(self, columns: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Row, latent (counted from the block's first) and pre-activation of the entries above the floor."""
        W, b = self.sae.W_enc.T[columns], self.sae.b_enc[columns]
        rough = torch.addmm(b.bfloat16(), self._rounded, W.bfloat16().T)
        slack = self._slack * W.norm(dim=1).max() + BF16 * b.abs().max()
        lowered = self.floor - slack
        row, latent = entries_above(rough, (lowered - 2 * BF16 * (lowered.abs() + slack)).bfloat16())
        pre = sampled_product(self.centred, W, row, latent) + b[latent]
        keep = pre > self.floor
        return row[keep], latent[keep], pre[keep]


def _bf16_pays(sae: SparseAutoencoder, centred: Tensor) -> bool:
    large = centred.shape[0] * sae.d_in * sae.d_sae >= BF16_PAYS_ABOVE
    on_cpu = centred.device.type == "cpu" and sae.dtype == torch.float32
    return large and on_cpu and torch.cpu._is_amx_tile_supported()


def _largest_in_each_row(entries: Entries, k: int, n_rows: int) -> Bool[Tensor, " n"]:
    """The k largest of each row; of equal ones the first."""
    by_value = torch.argsort(entries.pre, descending=True, stable=True)
    by_row = by_value[torch.argsort(entries.row[by_value], stable=True)]
    starts = torch.searchsorted(entries.row, torch.arange(n_rows, device=entries.row.device))
    rank = torch.arange(len(by_row), device=entries.row.device) - starts[entries.row[by_row]]
    keep = torch.zeros_like(entries.row, dtype=torch.bool)
    keep[by_row] = rank < k
    return keep


def _by_row(row: Tensor, latent: Tensor, pre: Tensor, n_rows: int) -> Entries:
    """Sorted by row; entries of a row must come by increasing latent already."""
    order, _ = stable_order(row, n_rows)
    return Entries(row[order], latent[order], pre[order])


def _scalar(sae: SparseAutoencoder, value: float) -> Float[Tensor, ""]:
    return torch.tensor(value, dtype=sae.dtype, device=sae.device)
