"""`NestedCode`: an ordered representation of rows of which every prefix is usable; and the base of all that are one."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from msae.core.config import require
from msae.core.errors import ConfigError
from msae.core.numerics import RowArray, as_rows
from msae.core.spec import SourceSpec
from msae.nested.classifier import Classifier

VALUE_BITS = 32
"""Bits of one stored number: codes are counted in float32, dense and sparse alike."""


class NestedCode(ABC):
    """Rows of `d_in` numbers to codes of `widths[level]` numbers; level 0 is the smallest.

    `prefixes`: whether the code of a level is the beginning of the code of every later one, so that one stored vector
    serves them all. `sparse`: whether most numbers of a code are zero. `source`: what made the rows it was fitted on;
    None for plain arrays. `classes`: names of the classes that it was trained to tell apart; most codes know of none.
    """

    prefixes: bool = True
    sparse: bool = False
    classes: tuple[str, ...] = ()

    def __init__(self, d_in: int, widths: Sequence[int], source: SourceSpec | None = None) -> None:
        self.d_in, self.widths, self.source = d_in, checked_widths(widths), source

    @property
    def n_levels(self) -> int:
        """How many levels there are."""
        return len(self.widths)

    def width(self, level: int | None = None) -> int:
        """Numbers a code of `level` has (None: the last); `ConfigError` for a level that does not exist."""
        if level is None:
            return self.widths[-1]
        if not 0 <= level < self.n_levels:
            raise ConfigError(
                f"level = {level}: this code has levels 0 … {self.n_levels - 1} of widths {list(self.widths)}"
            )
        return self.widths[level]

    def level_of(self, width: int) -> int:
        """The level of that width; `ConfigError` naming the widths there are."""
        if width not in self.widths:
            raise ConfigError(f"width = {width}: this code has the widths {list(self.widths)}")
        return self.widths.index(width)

    def bytes_per_item(self, level: int | None = None) -> float:
        """Bytes that one code of `level` takes where it is stored."""
        return self.width(level) * VALUE_BITS / 8

    @abstractmethod
    def transform(self, rows: RowArray, level: int | None = None) -> Float[Tensor, "rows width"]:
        """The codes of `level` (None: the last), not normalised. Raises `ConfigError` for rows of another width."""

    def classifier(self, level: int | None = None) -> Classifier:
        """The classifier of `level` that it was trained with; `ConfigError` for a code that was trained for none."""
        raise ConfigError(f"{self!r} was trained without classes: fit classifiers to its codes")

    @abstractmethod
    def write(self, folder: Path) -> dict[str, Any]:
        """Write what it holds to files in `folder`, which exists, and return the rest as JSON values."""

    @classmethod
    @abstractmethod
    def read(cls, folder: Path, settings: dict[str, Any], source: SourceSpec | None) -> NestedCode:
        """The inverse of `write`."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(d_in={self.d_in}, widths={list(self.widths)})"

    def _checked(self, rows: RowArray) -> Float[Tensor, "rows d_in"]:
        return as_rows(rows, self.d_in, "the array of rows").float()


def checked_widths(widths: Sequence[int], limit: int | None = None) -> tuple[int, ...]:
    """The widths as a tuple; `ConfigError` unless they grow strictly, from at least 1 to at most `limit`."""
    found = tuple(int(width) for width in widths)
    grows = bool(found) and found[0] > 0 and all(a < b for a, b in itertools.pairwise(found))
    require(grows, "widths", list(found), "positive numbers that grow strictly, such as 16 64 256")
    require(limit is None or found[-1] <= limit, "widths", list(found), f"at most {limit}, the width there is")
    return found


def halving_widths(width: int, smallest: int = 8) -> tuple[int, ...]:
    """`width`, its half, its quarter … down to `smallest` at least, in growing order: MRL's choice of levels."""
    require(width >= 1, "width", width, "a positive number")
    out = [width]
    while out[-1] // 2 >= smallest:
        out.append(out[-1] // 2)
    return tuple(reversed(out))
