"""`LabelledRows`: rows and the class of each, from a store and a table, and parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.activations.store import ActivationStore
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import ConfigError
from msae.core.rng import torch_stream
from msae.nested.label_column import read_labels_column
from msae.nested.rows import Rows, shape_of, taken


@checked
@dataclass(frozen=True)
class LabelledRows:
    """Rows and the name of each one's class; `ConfigError` unless they are as many."""

    rows: Float[Tensor, "rows d_in"]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        require(len(self.rows) == len(self.labels) > 0, "labels", len(self.labels), f"{len(self.rows)}, one a row")

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, rows: Rows, labels: Sequence[str | None]) -> LabelledRows:
        """Rows in memory, those whose label is None left out.

        Raises `ConfigError` for another number of labels than of rows, or not one label.
        """
        rows = taken(rows)
        n, _ = shape_of(rows)
        if len(labels) != n:
            raise ConfigError(f"{len(labels)} labels were given for {n} rows: one a row is needed, in the same order")
        kept = [i for i, label in enumerate(labels) if label is not None]
        if not kept:
            raise ConfigError(f"not one of {n} rows has a label")
        every = rows.rows(0, n) if isinstance(rows, ActivationStore) else rows
        return cls(every[torch.tensor(kept)].float(), tuple(label for label in labels if label is not None))

    @classmethod
    def read(cls, store: ActivationStore, table: Path | str, column: str) -> LabelledRows:
        """The rows of a store, labelled by a column of a table (CSV, JSON lines, Parquet) in the same order.

        Raises `CorpusError` for a table or a column that cannot be read, and what `of` does.
        """
        labels = read_labels_column(table, column)
        if len(labels) != store.n_rows:
            raise ConfigError(
                f"{table} has {len(labels)} rows and the store {store.n_rows}: one a row is needed, in the same order. "
                "Keep one row a document (msae harvest --pooling), all in one store (--holdout-tokens 0)"
            )
        return cls.of(store, labels)

    def part(self, index: Int[Tensor, " some"]) -> LabelledRows:
        """The rows of these numbers."""
        return LabelledRows(self.rows[index], tuple(self.labels[i] for i in index.tolist()))

    def split(self, share: float, *, seed: int) -> tuple[LabelledRows, LabelledRows]:
        """A share of the rows, drawn, and the others; `ConfigError` where either has none."""
        n = round(share * len(self))
        require(0 < n < len(self), "share", share, f"between 0 and 1, leaving rows on both sides of {len(self)}")
        order = torch.randperm(len(self), generator=torch_stream(seed, "nested/labelled/split"))
        return self.part(order[:n]), self.part(order[n:])

    def numbers(self, classes: Sequence[str]) -> Int[Tensor, " rows"]:
        """The number of each row's class; `ConfigError` naming a class that is not among `classes`."""
        number = {name: i for i, name in enumerate(classes)}
        unknown = sorted(set(self.labels) - number.keys())
        if unknown:
            raise ConfigError(f"the class {unknown[0]!r} was not among those trained for ({len(number)} of them)")
        return torch.tensor([number[name] for name in self.labels])
