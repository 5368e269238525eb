"""Orders that need no training: the numbers as they come, principal components, and any code in a random order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.checked import checked
from msae.core.errors import ConfigError
from msae.core.numerics import RowArray
from msae.core.rng import torch_stream
from msae.core.spec import SourceSpec
from msae.nested.code import NestedCode, checked_widths, halving_widths
from msae.nested.code_files import load_code, read_code_tensors, save_code, write_code_tensors
from msae.nested.rows import Rows, moments, shape_of, source_of, taken


@checked
@final
class RawPrefix(NestedCode):
    """The first numbers of a row as it is: what a model's own Matryoshka training, if it had one, put first."""

    def __init__(self, d_in: int, widths: Sequence[int] = (), source: SourceSpec | None = None) -> None:
        super().__init__(d_in, checked_widths(widths or halving_widths(d_in), d_in), source)

    def transform(self, rows: RowArray, level: int | None = None) -> Float[Tensor, "rows width"]:
        """x[:, :width]."""
        return self._checked(rows)[:, : self.width(level)]

    def write(self, folder: Path) -> dict[str, Any]:
        """It has no files."""
        return {"d_in": self.d_in, "widths": list(self.widths)}

    @classmethod
    def read(cls, folder: Path, settings: dict[str, Any], source: SourceSpec | None) -> RawPrefix:
        """The inverse of `write`."""
        return cls(settings["d_in"], settings["widths"], source)


@checked
@final
class PcaPrefix(NestedCode):
    """(x − mean) V, the columns of V the directions of most variance first: the best linear prefixes in squared error.

    `variance`: of each component, over the rows it was fitted on.
    """

    def __init__(
        self,
        mean: Float[Tensor, " d_in"],
        components: Float[Tensor, "d_in d_out"],
        variance: Float[Tensor, " d_out"],
        widths: Sequence[int],
        source: SourceSpec | None = None,
    ) -> None:
        super().__init__(len(mean), checked_widths(widths, components.shape[1]), source)
        self.mean, self.components, self.variance = mean.float(), components.float(), variance.float()

    @classmethod
    def fit(cls, rows: Rows, widths: Sequence[int] = ()) -> PcaPrefix:
        """Of an array or a store. Signs are fixed: the largest entry of a component is positive.

        Raises `ConfigError` for widths beyond the row's, or rows that are not finite.
        """
        rows = taken(rows)
        _, d_in = shape_of(rows)
        chosen = checked_widths(widths or halving_widths(d_in), d_in)
        mean, covariance = moments(rows)
        variance, vectors = torch.linalg.eigh(covariance)
        variance, vectors = variance.flip(0)[: chosen[-1]], vectors.flip(1)[:, : chosen[-1]]
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        return cls(mean, vectors * largest.sign(), variance.clamp(min=0), chosen, source_of(rows))

    def transform(self, rows: RowArray, level: int | None = None) -> Float[Tensor, "rows width"]:
        """The first components."""
        return (self._checked(rows) - self.mean) @ self.components[:, : self.width(level)]

    def write(self, folder: Path) -> dict[str, Any]:
        """Mean, components and variances."""
        write_code_tensors(folder, {"mean": self.mean, "components": self.components, "variance": self.variance})
        return {"widths": list(self.widths)}

    @classmethod
    def read(cls, folder: Path, settings: dict[str, Any], source: SourceSpec | None) -> PcaPrefix:
        """The inverse of `write`."""
        tensors = read_code_tensors(folder, ("mean", "components", "variance"))
        return cls(tensors["mean"], tensors["components"], tensors["variance"], settings["widths"], source)


@checked
@final
class RandomOrder(NestedCode):
    """The full code of another, its numbers in a random order: the null that every learned order is compared with."""

    def __init__(self, of: NestedCode, seed: int = 0) -> None:
        if not of.prefixes:
            raise ConfigError(f"{of!r} has another code at every level: there is no one order to make random")
        super().__init__(of.d_in, of.widths, of.source)
        self.of, self.seed = of, seed
        self._order = torch.randperm(of.widths[-1], generator=torch_stream(seed, "nested/random order"))

    def transform(self, rows: RowArray, level: int | None = None) -> Float[Tensor, "rows width"]:
        """As many of the full code's numbers, chosen at random once."""
        return self.of.transform(rows)[:, self._order[: self.width(level)]]

    def bytes_per_item(self, level: int | None = None) -> float:
        """A share of the full code's bytes, as great as the level's share of its numbers."""
        return self.of.bytes_per_item() * self.width(level) / self.width()

    def write(self, folder: Path) -> dict[str, Any]:
        """The other code, in a folder of its own."""
        save_code(self.of, folder / "of")
        return {"seed": self.seed}

    @classmethod
    def read(cls, folder: Path, settings: dict[str, Any], source: SourceSpec | None) -> RandomOrder:
        """The inverse of `write`."""
        return cls(load_code(folder / "of"), settings["seed"])
