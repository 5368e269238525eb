"""A block of the encoder's product, searched: which of its entries lie above a floor.

Where the processor multiplies small numbers much faster than float32, a block is first made of rounded numbers, and
searched above a floor lowered by a bound on what rounding can have changed; what passes is computed in float32 and
searched again. So nothing is lost, and the result is float32's. With x̂ = x − δx and ŵ = w − δw the rounded numbers,

    |⟨x, w⟩ − ⟨x̂, ŵ⟩| ≤ ‖x‖ ‖δw‖ + ‖δx‖ ‖ŵ‖        (Cauchy–Schwarz)

and summing d_in terms in float32 changes a product by at most d_in · 2⁻²³ ‖x‖‖w‖.

- bf16 (AMX): u = 2⁻⁸ bounds the rounding of a number, so (2u + u²) ‖x‖‖w‖ the sum of both terms; the result is rounded
  to bf16 once more.
- int8 (VNNI): each row of x and each column of W_enc has a scale of its own, and ‖δx‖, ‖δw‖ are those found. Sums of
  int8 products are exact in int32.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int8
from torch import Tensor
from torch.profiler import record_function

from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels.products import on_compiled_path, sampled_product
from msae.sae.kernels.scan import entries_above

BF16 = 2.0**-8
BF16_PRODUCT = 2 * BF16 + BF16**2
FLOAT32 = 2.0**-23
SCREENING_PAYS_ABOVE = 1 << 28
LONGEST_INT8_SUM = (2**31 - 1) // 127**2


@runtime_checkable
class Search(Protocol):
    """Searches the columns of one product block by block. `n_passed`: entries that rounded numbers did not rule out."""

    n_passed: int

    def block(self, columns: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Row, latent (counted from the block's first) and pre-activation of the entries above the floor."""
        ...


class PlainSearch:
    """Blocks of pre-activations in the SAE's own dtype; `floor` is 0-d or one number per latent.

    One after the other is made in the same memory: new memory costs page faults.
    """

    def __init__(self, sae: SparseAutoencoder, centred: Tensor, floor: Tensor) -> None:
        self.sae, self.centred, self.floor = sae, centred.detach(), floor
        self.n_passed = 0
        self._pre = self.centred.new_empty(0)

    def block(self, columns: slice) -> tuple[Tensor, Tensor, Tensor]:
        """See `Search.block`."""
        W, b = self.sae.W_enc.detach()[:, columns], self.sae.b_enc.detach()[columns]
        if self._pre.shape != (shape := (self.centred.shape[0], W.shape[1])):
            self._pre = self.centred.new_empty(shape)
        pre = self._pre
        with record_function("msae::product"):
            torch.addmm(b, self.centred, W, out=pre)
        if self.floor.ndim == 0:
            row, latent = entries_above(pre, self.floor.expand(pre.shape[0]).contiguous())
        else:
            row, latent = (pre > self.floor[columns]).nonzero(as_tuple=True)
        return row, latent, pre[row, latent]


class Bf16Search:
    """Blocks screened in bf16; `floor` is 0-d."""

    def __init__(self, sae: SparseAutoencoder, centred: Tensor, floor: Tensor) -> None:
        self.sae, self.centred, self.floor = sae, centred, floor
        self.n_passed = 0
        self._rounded = centred.bfloat16()
        self._slack = (BF16_PRODUCT + sae.d_in * FLOAT32) * centred.norm(dim=1)

    def block(self, columns: slice) -> tuple[Tensor, Tensor, Tensor]:
        """See `Search.block`."""
        W, b = self.sae.W_enc.T[columns], self.sae.b_enc[columns]
        with record_function("msae::product"):
            rough = torch.addmm(b.bfloat16(), self._rounded, W.bfloat16().T)
        slack = self._slack * W.norm(dim=1).max() + BF16 * b.abs().max()
        lowered = self.floor - slack
        row, latent = entries_above(rough, (lowered - 2 * BF16 * (lowered.abs() + slack)).bfloat16())
        self.n_passed += len(row)
        pre = sampled_product(self.centred, W, row, latent) + b[latent]
        keep = pre > self.floor
        return row[keep], latent[keep], pre[keep]


class Int8Search:
    """Blocks screened in int8, on a CPU with numba; `floor` is 0-d."""

    def __init__(self, sae: SparseAutoencoder, centred: Tensor, floor: Tensor) -> None:
        self.sae, self.centred, self.floor = sae, centred.detach().contiguous(), floor
        self.n_passed = 0
        self._rows, self._row_bounds = _in_int8(centred)
        self._latents, self._latent_bounds = _in_int8(sae.W_enc.T)

    def block(self, columns: slice) -> tuple[Tensor, Tensor, Tensor]:
        """See `Search.block`."""
        from msae.sae.kernels.compiled import screen_int8

        W, b = self.sae.W_enc.T[columns].detach(), self.sae.b_enc[columns].detach()
        with record_function("msae::product"):
            sums = torch._int_mm(self._rows, self._latents[columns].T)
        bounds = self._row_bounds.numpy(), self._latent_bounds[:, columns].contiguous().numpy()
        exact = self.centred.numpy(), W.numpy(), b.numpy()
        # Three more roundings in float32, of the terms that are added up.
        rounding = (self.sae.d_in + 8) * FLOAT32
        *found, n_passed = screen_int8(sums.numpy(), *bounds, *exact, self.floor.item(), rounding)
        self.n_passed += n_passed
        row, latent, pre = (torch.from_numpy(array) for array in found)
        return row, latent, pre


def _in_int8(rows: Float[Tensor, "n d"]) -> tuple[Int8[Tensor, "n d"], Float[Tensor, "3 n"]]:
    """Rows as int8 with one scale each; and of each row the scale, ‖row‖ and ‖row − scale · int8‖ (rounded up)."""
    from msae.sae.kernels.compiled import to_int8

    out, bounds = torch.empty(rows.shape, dtype=torch.int8), rows.new_empty(3, len(rows))
    to_int8(*(tensor.numpy() for tensor in (rows.detach().contiguous(), out, bounds)))
    return out, bounds


def search_for(sae: SparseAutoencoder, centred: Float[Tensor, "batch d_in"], floor: Tensor) -> Search:
    """The fastest search on this processor for a product of this size. `floor`: 0-d, or one number per latent."""
    on_cpu = centred.device.type == "cpu" and sae.dtype == torch.float32
    large = centred.shape[0] * sae.d_in * sae.d_sae >= SCREENING_PAYS_ABOVE
    if on_cpu and large and floor.ndim == 0:
        if torch.cpu._is_amx_tile_supported():
            return Bf16Search(sae, centred, floor)
        fast_int8 = torch.cpu._is_vnni_supported() and torch.backends.mkldnn.is_available()
        if fast_int8 and on_compiled_path(centred) and sae.d_in <= LONGEST_INT8_SUM:
            return Int8Search(sae, centred, floor)
    return PlainSearch(sae, centred, floor)
