"""`MatryoshkaHead`: an ordered linear map on rows, every prefix of which is trained to serve alone.

Kusupati et al. 2022 (arXiv:2205.13147) train a whole network for Σ_m c_m L(W⁽ᵐ⁾ z_{1:m}; y). Here the network is
frozen, its rows x are given, and z = (x − mean) E is linear: a linear head on frozen rows, and called that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.checked import checked
from msae.core.numerics import RowArray
from msae.core.spec import SourceSpec
from msae.nested.classifier import Classifier
from msae.nested.code import NestedCode, checked_widths
from msae.nested.code_files import load_code, read_code_tensors, save_code, write_code_tensors


@checked
@final
class MatryoshkaHead(NestedCode):
    """z = (x − mean) E; a level is the first `widths[level]` numbers of z.

    `classes`: names of the classes it was trained to tell apart (none: trained by self-distillation). `classifiers`:
    one a level; with MRL-E they share their weights, the narrower one's the first rows of the wider one's.
    """

    def __init__(
        self,
        mean: Float[Tensor, " d_in"],
        E: Float[Tensor, "d_in d_out"],
        widths: Sequence[int],
        *,
        classes: Sequence[str] = (),
        classifiers: Sequence[Classifier] = (),
        source: SourceSpec | None = None,
    ) -> None:
        super().__init__(len(mean), checked_widths(widths, E.shape[1]), source)
        self.mean, self.E = mean.float(), E.float()
        self.classes, self.classifiers = tuple(classes), tuple(classifiers)

    def transform(self, rows: RowArray, level: int | None = None) -> Float[Tensor, "rows width"]:
        """(x − mean) E, its first numbers."""
        return (self._checked(rows) - self.mean) @ self.E[:, : self.width(level)]

    def logits(self, rows: RowArray, level: int | None = None) -> Float[Tensor, "rows class"]:
        """What the classifier of `level` makes of the rows; `ConfigError` where it was trained without classes."""
        return self.classifier(level).logits(self.transform(rows, level))

    def classifier(self, level: int | None = None) -> Classifier:
        """The one of `level`; `ConfigError` where it was trained without classes."""
        self.width(level)
        return self.classifiers[-1 if level is None else level] if self.classifiers else super().classifier(level)

    def write(self, folder: Path) -> dict[str, Any]:
        """The map, and the classifiers."""
        tensors = {"mean": self.mean, "E": self.E}
        for level, classifier in enumerate(self.classifiers):
            tensors |= {f"weight.{level}": classifier.weight, f"bias.{level}": classifier.bias}
        write_code_tensors(folder, tensors)
        return {"widths": list(self.widths), "classes": list(self.classes)}

    @classmethod
    def read(cls, folder: Path, settings: dict[str, Any], source: SourceSpec | None) -> MatryoshkaHead:
        """The inverse of `write`."""
        widths, classes = settings["widths"], settings["classes"]
        levels = range(len(widths) if classes else 0)
        names = ["mean", "E", *(f"{part}.{level}" for level in levels for part in ("weight", "bias"))]
        tensors = read_code_tensors(folder, names)
        classifiers = [Classifier(tensors[f"weight.{level}"], tensors[f"bias.{level}"]) for level in levels]
        return cls(tensors["mean"], tensors["E"], widths, classes=classes, classifiers=classifiers, source=source)


@checked
@final
class IndependentHeads(NestedCode):
    """A head for every width, each trained for that width alone: what nesting is compared with.

    A level's code is no beginning of the next one's, so every level has to be stored by itself.
    """

    prefixes = False

    def __init__(self, heads: Sequence[MatryoshkaHead]) -> None:
        super().__init__(heads[0].d_in, [head.width() for head in heads], heads[0].source)
        self.heads, self.classes = tuple(heads), heads[0].classes

    def transform(self, rows: RowArray, level: int | None = None) -> Float[Tensor, "rows width"]:
        """The code of the head of that width."""
        return self._head(level).transform(rows)

    def logits(self, rows: RowArray, level: int | None = None) -> Float[Tensor, "rows class"]:
        """What the head of that width makes of the rows."""
        return self._head(level).logits(rows)

    def classifier(self, level: int | None = None) -> Classifier:
        """The one of the head of that width."""
        return self._head(level).classifier()

    def write(self, folder: Path) -> dict[str, Any]:
        """Every head, in a folder named by its width."""
        for head in self.heads:
            save_code(head, folder / str(head.width()))
        return {"widths": list(self.widths)}

    @classmethod
    def read(cls, folder: Path, settings: dict[str, Any], source: SourceSpec | None) -> IndependentHeads:
        """The inverse of `write`."""
        heads = [load_code(folder / str(width)) for width in settings["widths"]]
        return cls([head for head in heads if isinstance(head, MatryoshkaHead)])

    def _head(self, level: int | None) -> MatryoshkaHead:
        self.width(level)
        return self.heads[-1 if level is None else level]


def orthonormal(d_in: int, width: int, generator: torch.Generator) -> Float[Tensor, "d_in width"]:
    """Random directions at right angles; `ConfigError` for more of them than there are dimensions."""
    checked_widths((width,), d_in)
    drawn = torch.randn(d_in, width, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(drawn).Q.float()
