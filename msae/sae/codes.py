"""`SparseCodes`: a batch of codes as (row, latent, value) triples, so that a code costs k numbers, not d_sae."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.core.checked import checked


@checked
@dataclass(frozen=True)
class SparseCodes:
    """The nonzero codes of `n_rows` rows over `d_sae` latents, sorted by row, then by latent."""

    row: Int[Tensor, " nonzero"]
    latent: Int[Tensor, " nonzero"]
    value: Float[Tensor, " nonzero"]
    n_rows: int
    d_sae: int

    @classmethod
    def from_dense(cls, dense: Float[Tensor, "batch d_sae"]) -> SparseCodes:
        """The triples of the entries that are not zero."""
        row, latent = dense.nonzero(as_tuple=True)
        return cls(row, latent, dense[row, latent], dense.shape[0], dense.shape[1])

    def dense(self) -> Float[Tensor, "batch d_sae"]:
        """The codes as a (n_rows, d_sae) array."""
        out = self.value.new_zeros(self.n_rows, self.d_sae)
        return out.index_put((self.row, self.latent), self.value)

    def below(self, width: int) -> SparseCodes:
        """The codes of the prefix: latents 0 … width − 1, over `width` latents."""
        keep = self.latent < width
        return SparseCodes(self.row[keep], self.latent[keep], self.value[keep], self.n_rows, width)

    def row_offsets(self) -> Int[Tensor, " rows"]:
        """Where each row's triples begin (n_rows numbers), as `embedding_bag` wants them."""
        rows = torch.arange(self.n_rows, device=self.row.device)
        return torch.searchsorted(self.row, rows)

    def l0(self) -> float:
        """Mean number of nonzero codes a row."""
        return self.row.numel() / self.n_rows

    def to(self, device: torch.device | str) -> SparseCodes:
        """The same codes on `device`."""
        return SparseCodes(self.row.to(device), self.latent.to(device), self.value.to(device), self.n_rows, self.d_sae)

    def __len__(self) -> int:
        return self.row.numel()
