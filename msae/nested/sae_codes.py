"""The codes of an SAE as nested codes: a level is a prefix of its dictionary, and few of its numbers are not zero."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import CheckpointError, ConfigError
from msae.core.numerics import RowArray
from msae.core.spec import SourceSpec
from msae.nested.code import VALUE_BITS, NestedCode
from msae.nested.rows import Rows, blocks, shape_of, taken
from msae.sae import SparseAutoencoder, SparseCodes, load, save

SAE_FOLDER = "sae"


@checked
@final
class SaeCodes(NestedCode):
    """What an SAE's latents of each level are on a row, at most the `k` largest of the prefix (None: all that fire).

    `l0`: mean number of codes a row at each level; `SaeCodes.of` measures it. One code costs an index of
    ⌈log₂ width⌉ bits and a value of 32, so `bytes_per_item` is l0 · (⌈log₂ width⌉ + 32) / 8.
    With `k` the code of a level is no beginning of the next one's: the k largest are chosen among more latents.
    """

    sparse = True

    def __init__(self, sae: SparseAutoencoder, l0: tuple[float, ...], k: int | None = None) -> None:
        super().__init__(sae.d_in, sae.prefix_widths, sae.source)
        require(k is None or 0 < k <= sae.d_sae, "k", k, f"1 to {sae.d_sae}, the SAE's latents, or None for all")
        require(len(l0) == self.n_levels, "l0", l0, f"a number for each of {self.n_levels} levels")
        self.sae, self.l0, self.k = sae.eval(), l0, k
        self.prefixes = k is None

    @classmethod
    def of(cls, sae: SparseAutoencoder, rows: Rows, k: int | None = None) -> SaeCodes:
        """The codes of `sae`, their l0 measured on `rows`; `ConfigError` for rows of another width."""
        rows = taken(rows)
        n_rows, d_in = shape_of(rows)
        require(d_in == sae.d_in, "rows", f"{d_in} numbers a row", f"{sae.d_in}, the SAE's d_in")
        counting = cls(sae, (0.0,) * sae.n_levels, k)
        counts = [0] * sae.n_levels
        for block in blocks(rows):
            codes = counting.encode(block)
            for level in range(sae.n_levels):
                counts[level] += len(counting.cut(codes, level))
        return cls(sae, tuple(count / n_rows for count in counts), k)

    @torch.no_grad()
    def encode(self, rows: RowArray) -> SparseCodes:
        """All codes of the rows, every level's."""
        return self.sae.encode(self._checked(rows).to(self.sae.device, self.sae.dtype)).to("cpu")

    def cut(self, codes: SparseCodes, level: int | None = None) -> SparseCodes:
        """Those of them that a level keeps: below its width, and of these the k largest a row."""
        below = codes.below(self.width(level))
        return below if self.k is None else largest(below, self.k)

    def transform(self, rows: RowArray, level: int | None = None) -> Float[Tensor, "rows width"]:
        """The codes of a level as an array, mostly zeros."""
        return self.cut(self.encode(rows), level).dense().float()

    def bytes_per_item(self, level: int | None = None) -> float:
        """l0 · (⌈log₂ width⌉ + 32) / 8."""
        index_bits = math.ceil(math.log2(max(2, self.width(level))))
        return self.l0[-1 if level is None else level] * (index_bits + VALUE_BITS) / 8

    def write(self, folder: Path) -> dict[str, Any]:
        """The SAE."""
        save(self.sae, folder / SAE_FOLDER)
        return {"l0": list(self.l0), "k": self.k}

    @classmethod
    def read(cls, folder: Path, settings: dict[str, Any], source: SourceSpec | None) -> SaeCodes:
        """The inverse of `write`."""
        try:
            return cls(load(folder / SAE_FOLDER), tuple(settings["l0"]), settings["k"])
        except ConfigError as error:
            raise CheckpointError(f"{folder} does not describe codes of its SAE: {error}") from error


def largest(codes: SparseCodes, k: int) -> SparseCodes:
    """The k largest codes of every row, of equal ones those of the first latents; sorted as before."""
    by_value = torch.argsort(codes.value, descending=True, stable=True)
    order = by_value[torch.argsort(codes.row[by_value], stable=True)]
    rank = torch.arange(len(order)) - codes.row_offsets()[codes.row[order]]
    kept = order[rank < k].sort().values
    return SparseCodes(codes.row[kept], codes.latent[kept], codes.value[kept], codes.n_rows, codes.d_sae)
