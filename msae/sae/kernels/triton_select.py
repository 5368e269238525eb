"""The selection on a GPU without waiting for the device: no number of entries is known to the host.

The encoder's product is made in bf16 with float32 sums, a tile at a time, and only candidates leave the tile (`search`
has the bound). They go into a buffer with room for a fixed number, counted on the device; what passes is computed again
from the float32 weights, so that the selection is float32's. All arrays have a fixed length: what is not there is
padding, with the row `n_rows`, the latent 0 and the pre-activation −∞, behind all that is there.

The buffer can be too small, and the floor that the last batch left too high. The device then marks the selection as
not complete. Whoever reads that, a step later, makes a new kernel, which waits for the device: its first selection is
found by `CandidateFinder`, which continues until it is certain, and from what it found floor and room are taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from msae.sae.activation_fns.search_plan import BatchBudget, LatentFloor
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.candidates import FLOOR_RATIO, CandidateFinder, Entries
from msae.sae.kernels.search import BF16_PRODUCT, FLOAT32

WORD = 32
ROOM_FOR = 4
LEAST_ROOM = 64
ROOM_A_ROW = 512


class DeferredFinder:
    """Selects on the device. `block`: the most entries of the product made by one pass over it."""

    def __init__(self, block: int) -> None:
        self.block = block
        self._asking = CandidateFinder(block, TileSearch)
        self._floor: Float[Tensor, ""] | None = None
        self._room = 0

    def selected(
        self, sae: SparseAutoencoder, centred: Float[Tensor, "batch d_in"]
    ) -> tuple[Entries, Bool[Tensor, ""]]:
        """What `CandidateFinder.selected` finds, padded, and whether that is certain.

        A budget a row always waits: each row has a floor of its own to pass, and some row always misses it.
        """
        plan, n_rows = sae.activation_fn.train_plan(), len(centred)
        if self._floor is not None and isinstance(plan, BatchBudget) and self._room >= plan.entries(n_rows):
            found, fits = self._above(sae, centred, self._floor)
            entries, self._floor, enough = largest_of(found, n_rows, plan.entries(n_rows), self._floor)
            return entries, fits & enough
        if self._floor is not None and isinstance(plan, LatentFloor):
            return self._above(sae, centred, plan.floor(sae.threshold))
        return self._ask(sae, centred), torch.ones((), dtype=torch.bool, device=centred.device)

    def _ask(self, sae: SparseAutoencoder, centred: Tensor) -> Entries:
        entries = self._asking.selected(sae, centred)
        self._floor = torch.full((), self._asking.floor, dtype=sae.dtype, device=sae.device)
        plan = sae.activation_fn.train_plan()
        budget = plan.entries(len(centred)) if isinstance(plan, BatchBudget) else 0
        self._room = max(LEAST_ROOM, ROOM_FOR * len(entries.pre), budget)
        return entries

    def _above(self, sae: SparseAutoencoder, centred: Tensor, floor: Tensor) -> tuple[Entries, Bool[Tensor, ""]]:
        """The entries above `floor` (0-d, or one number per latent), and whether there was room for all."""
        from msae.sae.kernels.triton_loops import sampled_product

        n_rows = len(centred)
        n_columns = max(1, self.block // n_rows // WORD) * WORD
        columns = [slice(at, min(at + n_columns, sae.d_sae)) for at in range(0, sae.d_sae, n_columns)]
        found, count = picked(sae, centred, floor, self._room, columns)
        row, latent = found // sae.d_sae, found % sae.d_sae
        there = row < n_rows
        pre = sampled_product(centred, sae.W_enc.T, row, latent) + sae.b_enc[latent]
        there &= pre > (floor if floor.ndim == 0 else floor[latent])
        row, latent = row.masked_fill(~there, n_rows), latent.masked_fill(~there, 0)
        return Entries(row, latent, pre.masked_fill(~there, -torch.inf)), (count <= self._room).squeeze(0)


def picked(
    sae: SparseAutoencoder, centred: Float[Tensor, "batch d_in"], floor: Tensor, room: int, blocks: Sequence[slice]
) -> tuple[Int[Tensor, " room"], Int[Tensor, 1]]:
    """row · d_sae + latent of all entries that may lie above `floor`, in order, and their number.

    `floor` is 0-d or one number per latent. `blocks`: the latents searched, one block behind the other, each but the
    last a multiple of `WORD`. What is not there reads batch · d_sae; of more than `room` entries the last are missing.
    """
    from msae.sae.kernels.triton_loops import DEPTH, INTERPRETED, Screen, pick, unpack

    centred, first = centred.detach(), blocks[0].start
    W, b = sae.W_enc.T.detach(), sae.b_enc.detach()
    words = torch.empty(len(centred), -(-(blocks[-1].stop - first) // WORD), dtype=torch.int32, device=centred.device)
    # The interpreter's product takes the bits of bf16 for whole numbers.
    product_dtype = torch.float32 if INTERPRETED else torch.bfloat16

    def rounded(rows: Float[Tensor, "n d"]) -> Float[Tensor, "n padded"]:
        lacking = -rows.shape[1] % DEPTH
        return nn.functional.pad(rows.bfloat16().to(product_dtype), (0, lacking)).contiguous()

    x = rounded(centred)
    # Tensor cores may cut off where IEEE would round, which doubles the error of a sum.
    row_slack = (BF16_PRODUCT + 2 * sae.d_in * FLOAT32) * centred.norm(dim=1)
    shared = floor if floor.ndim == 0 else torch.zeros_like(b[0])
    own = torch.zeros_like(b) if floor.ndim == 0 else floor
    for columns in blocks:
        raised = b[columns] - own[columns] + 8 * FLOAT32 * (b[columns].abs() + own[columns].abs())
        screen = Screen(x, rounded(W[columns]), raised, row_slack, W[columns].norm(dim=1), shared)
        pick(screen, words, (columns.start - first) // WORD)
    return unpack(words, room, first, sae.d_sae)


def largest_of(
    found: Entries, n_rows: int, budget: int, floor: Float[Tensor, ""]
) -> tuple[Entries, Float[Tensor, ""], Bool[Tensor, ""]]:
    """The `budget` largest of `found` (of equal ones the first), a floor for the next batch, and whether that is all.

    `found`, padded, holds every entry above `floor`; `budget` is at most its length.
    """
    cut = torch.topk(found.pre, budget).values[-1]
    above, ties = found.pre > cut, found.pre == cut
    keep = (above | (ties & (ties.cumsum(0) <= budget - above.sum()))) & (found.pre > -torch.inf)
    # Everything kept moves to the front, in order; the rest piles up in one place too many, which is left out.
    place = torch.where(keep, keep.cumsum(0) - 1, budget)
    none = len(found.row)
    source = place.new_full((budget + 1,), none).scatter_(0, place, torch.arange(none, device=place.device))[:budget]
    there = source < none
    at = source.clamp_max(none - 1)
    entries = Entries(
        torch.where(there, found.row[at], n_rows),
        torch.where(there, found.latent[at], 0),
        torch.where(there, found.pre[at], -torch.inf),
    )
    full = there[-1]
    lower = torch.where(full & cut.isfinite(), FLOOR_RATIO * cut, 0.0)
    return entries, lower, full | (floor <= 0)


class TileSearch:
    """`search.Search` by tiles, for callers that wait; `floor`: 0-d, or one number per latent."""

    def __init__(self, sae: SparseAutoencoder, centred: Float[Tensor, "batch d_in"], floor: Tensor) -> None:
        self.sae, self.centred, self.floor = sae, centred.detach(), floor
        self.n_passed = 0

    def block(self, columns: slice) -> tuple[Tensor, Tensor, Tensor]:
        """See `Search.block`."""
        from msae.sae.kernels.triton_loops import sampled_product

        sae, room = self.sae, ROOM_A_ROW * len(self.centred)
        while True:
            found, count = picked(sae, self.centred, self.floor, room, [columns])
            n_found = int(count.item())
            if n_found <= room:
                break
            room = n_found
        self.n_passed += n_found
        row, latent = found[:n_found] // sae.d_sae, found[:n_found] % sae.d_sae
        pre = sampled_product(self.centred, sae.W_enc.T, row, latent) + sae.b_enc[latent]
        keep = pre > (self.floor if self.floor.ndim == 0 else self.floor[latent])
        return row[keep], latent[keep] - columns.start, pre[keep]
