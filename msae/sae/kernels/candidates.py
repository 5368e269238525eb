"""Finding the few pre-activations that can be selected, without ever holding all of them.

The encoder's product is made a block of latents at a time, and only entries above a floor leave a block. The floor
comes from the last batch; it is a guess that decides how much work is done, never what is found: when too few entries
pass, the search goes on until the selection is certain, so the result equals that of a dense search.

Blocks of rounded numbers are searched first where that pays (`search`); where too many entries pass, as when a few
inputs are far larger than the rest, the rest of the batch is searched in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.sae.activation_fns.search_plan import BatchBudget, DenseChoice, LatentFloor, RowBudget, SearchPlan
from msae.sae.activation_fns.selection import counts_per_pool, largest
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.products import stable_order
from msae.sae.kernels.search import PlainSearch, Search, search_for

FLOOR_RATIO = 0.9
SAMPLE_ROWS = 64
SCREENING_PAYS_BELOW = 1 / 32


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
    """Carries out a search plan: finds the entries that an activation function selects.

    `block`: the most pre-activations held at once. `search_for`: makes the search of one product.
    """

    def __init__(self, block: int, search_for: Callable[..., Search] = search_for) -> None:
        self.block = block
        self._search_for = search_for
        self.guess: float | None = None

    @property
    def floor(self) -> float:
        """What the next batch is searched above, as far as is known: zero at least."""
        return self.guess or 0.0

    def selected(
        self, sae: SparseAutoencoder, centred: Float[Tensor, "batch d_in"], plan: SearchPlan | None = None
    ) -> Entries:
        """Exactly the entries that `plan` (None: the one for training) chooses, and those `LatentFloor.below` θ.

        `centred`: x − b_dec.
        """
        match plan or sae.activation_fn.train_plan():
            case BatchBudget() as budget:
                return self._batch_budget(sae, centred, budget)
            case RowBudget() as budget:
                return self._row_budget(sae, centred, budget)
            case LatentFloor() as levels:
                floor = levels.floor(sae.threshold)
                if floor.ndim and not levels.below and (floor == floor[0]).all():
                    floor = floor[0]
                return self.above(sae, centred, floor)
            case DenseChoice() as choice:
                return self._dense_choice(sae, centred, choice)

    def _batch_budget(self, sae: SparseAutoencoder, centred: Tensor, plan: BatchBudget) -> Entries:
        budget = plan.entries(centred.shape[0])
        floor = self.guess if self.guess is not None else self._sampled_floor(sae, centred, plan.k)
        entries = self.above(sae, centred, _scalar(sae, floor))
        while len(entries.pre) < budget and floor > 0:
            floor = min(FLOOR_RATIO * self._sampled_floor(sae, centred, plan.k), 0.7 * floor)
            floor = floor if floor > 1e-3 else 0.0
            entries = self.above(sae, centred, _scalar(sae, floor))
        chosen = entries.where(largest(entries.pre, budget))
        lowest = FLOOR_RATIO * chosen.pre.min().item() if len(chosen.pre) == budget else 0.0
        self.guess = lowest if math.isfinite(lowest) else 0.0
        return chosen

    def _row_budget(self, sae: SparseAutoencoder, centred: Tensor, plan: RowBudget) -> Entries:
        n_rows = centred.shape[0]
        floor = self.guess if self.guess is not None else 0.5 * self._sampled_floor(sae, centred, plan.codes_a_row)
        entries = self.above(sae, centred, _scalar(sae, floor))
        counts = counts_per_pool(plan.pool(entries.row, entries.latent), n_rows * plan.groups)
        short = (counts.view(n_rows, plan.groups) < plan.k).any(1).nonzero().squeeze(1)
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
        chosen = entries.where(_largest_in_each_pool(entries, plan, n_rows))
        lowest = chosen.pre.new_full((n_rows,), torch.inf).scatter_reduce(0, chosen.row, chosen.pre, "amin")
        lowest = lowest[lowest.isfinite()].float()
        self.guess = max(0.0, 0.95 * torch.quantile(lowest, 0.01).item()) if len(lowest) else 0.0
        return chosen

    def _dense_choice(self, sae: SparseAutoencoder, centred: Tensor, plan: DenseChoice) -> Entries:
        n_rows = max(1, self.block // sae.d_sae) if plan.by_row else len(centred)
        parts = []
        for start in range(0, len(centred), n_rows):
            pre = torch.addmm(sae.b_enc.detach(), centred[start : start + n_rows].detach(), sae.W_enc.detach())
            row, latent = plan.mask(pre, sae.threshold).nonzero(as_tuple=True)
            parts.append((row + start, latent, pre[row, latent]))
        return Entries(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

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
        search = self._search_for(sae, centred, floor)
        parts = []
        for start in range(0, sae.d_sae, n_columns):
            stop = min(start + n_columns, sae.d_sae)
            row, latent, pre = search.block(slice(start, stop))
            parts.append((row, latent + start, pre))
            if search.n_passed > SCREENING_PAYS_BELOW * centred.shape[0] * stop:
                search = PlainSearch(sae, centred, floor)
        row, latent, pre = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return _by_row(row, latent, pre, centred.shape[0])


def _largest_in_each_pool(entries: Entries, plan: RowBudget, n_rows: int) -> Bool[Tensor, " n"]:
    """The k largest of each pool; of equal ones the first."""
    pool = plan.pool(entries.row, entries.latent)
    by_value = torch.argsort(entries.pre, descending=True, stable=True)
    by_pool = by_value[torch.argsort(pool[by_value], stable=True)]
    counts = counts_per_pool(pool, n_rows * plan.groups)
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(by_pool), device=pool.device) - starts[pool[by_pool]]
    keep = torch.zeros_like(pool, dtype=torch.bool)
    keep[by_pool] = rank < plan.k
    return keep


def _by_row(row: Tensor, latent: Tensor, pre: Tensor, n_rows: int) -> Entries:
    """Sorted by row; entries of a row must come by increasing latent already."""
    order, _ = stable_order(row, n_rows)
    return Entries(row[order], latent[order], pre[order])


def _scalar(sae: SparseAutoencoder, value: float) -> Float[Tensor, ""]:
    return torch.tensor(value, dtype=sae.dtype, device=sae.device)
