"""`StoreWriter`: one store folder being written, shard by shard, with running sums that survive a restart exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.activations.manifest import (
    DOCUMENTS,
    MANIFEST,
    MEAN,
    FileRecord,
    HarvestSettings,
    Manifest,
    shard_name,
)
from msae.activations.norms import NormSummary, norms_of, summarize_norms
from msae.activations.shards import RESTORE, map_tensors
from msae.activations.source import ContextBatch
from msae.core.config import to_dict
from msae.core.errors import ConfigError, StoreError
from msae.core.files import write_json, write_tensors
from msae.core.numerics import float64
from msae.core.spec import SourceSpec
from msae.core.version import __version__

_PADDING = {"token_ids": 0, "document": -1, "offset": -1, "attention": False}


@dataclass(frozen=True, kw_only=True)
class WriterState:
    """What a `StoreWriter` needs to continue after its last flush. Sums as hex, so exact."""

    shard_rows: tuple[int, ...]
    context_rows: tuple[int, ...]
    n_documents: int
    files: dict[str, FileRecord]
    sum: tuple[str, ...]
    sum_of_squares: tuple[str, ...]
    sum_of_errors: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("sum", "sum_of_squares", "sum_of_errors"):
            for value in getattr(self, name):
                try:
                    float.fromhex(value)
                except ValueError as error:
                    raise ConfigError(f"{name} holds {value!r}: expected a number in hex") from error


class StoreWriter:
    """Collects rows in memory until `flush` writes them as the next shard; `finish` writes the manifest, last of all.

    Sums are float64, kept per dimension and added batch by batch, so that neither the number of threads nor a restart
    at a flush changes a bit of them.
    """

    def __init__(self, path: Path, spec: SourceSpec, dtype: str) -> None:
        self.path, self.spec, self.dtype = path, spec, dtype
        self.n_rows = 0
        self.n_documents = 0
        self.shard_rows: list[int] = []
        self.context_rows: list[int] = []
        self.files: dict[str, FileRecord] = {}
        self._sum = torch.zeros(spec.d_in, dtype=torch.float64)
        self._sum_of_squares = torch.zeros(spec.d_in, dtype=torch.float64)
        self._sum_of_errors = torch.zeros(spec.d_in, dtype=torch.float64)
        self._rows: list[Tensor] = []
        self._tokens: list[Tensor] = []
        self._norms: list[Tensor] = []
        self._contexts: list[ContextBatch] = []

    @property
    def pending_rows(self) -> int:
        """Rows not yet on the disk."""
        return self.n_rows - sum(self.shard_rows)

    @property
    def rounding(self) -> float:
        """Σ‖x − x̃‖² / Σ‖x̃‖² of the rows x̃ kept so far against the rows x they were made from."""
        lost, kept = float(self._sum_of_errors.sum()), float(self._sum_of_squares.sum())
        return lost / kept if kept > 0 else float(lost > 0)

    def add(
        self, rows: Float[Tensor, "rows d_in"], tokens: Int[Tensor, "4 rows"], exact: Float[Tensor, "rows d_in"]
    ) -> None:
        """Take rows in the store's dtype, rounded from `exact`.

        `tokens` stacks token ids, documents, offsets and positions.
        """
        if len(rows) == 0:
            return
        sums = torch.stack(_column_sums(rows, exact)).cpu()
        self._sum += sums[0]
        self._sum_of_squares += sums[1]
        self._sum_of_errors += sums[2]
        self._norms.append(norms_of(rows).cpu())
        self._rows.append(rows.cpu())
        self._tokens.append(tokens.to("cpu", torch.int32))
        self.n_rows += len(rows)
        self.n_documents = max(self.n_documents, int(tokens[1].max()) + 1)

    def add_contexts(self, batch: ContextBatch) -> None:
        """Keep whole contexts, special tokens included."""
        if len(batch):
            self._contexts.append(batch)

    def flush(self) -> None:
        """Write what is pending as the next shard."""
        if self._rows:
            index = len(self.shard_rows)
            names = ("token_id", "document", "offset", "position")
            tokens = dict(zip(names, torch.cat(self._tokens, dim=1), strict=True))
            self._write(shard_name("acts", index), {"acts": torch.cat(self._rows)})
            self._write(shard_name("tokens", index), {**tokens, "norm": torch.cat(self._norms)})
            self.shard_rows.append(sum(len(rows) for rows in self._rows))
            self._rows, self._tokens, self._norms = [], [], []
        if self._contexts:
            contexts = _stack(self._contexts)
            self._write(shard_name("contexts", len(self.context_rows)), contexts)
            self.context_rows.append(len(contexts["token_ids"]))
            self._contexts = []

    def finish(
        self,
        names: list[str],
        corpus: str,
        settings: HarvestSettings,
        holdout: StoreWriter | None = None,
        *,
        is_holdout: bool = False,
    ) -> None:
        """Write the mean, the documents' names and, last, the manifest. Everything pending must have been flushed.

        `holdout`: the finished holdout of this store; `is_holdout`: this store is one itself.
        """
        self._write(MEAN, {"mean": self._sum / self.n_rows})
        known = names[: self.n_documents]
        unnamed = [f"{self.spec.model}[{index}]" for index in range(len(known), self.n_documents)]
        write_json(self.path / DOCUMENTS, known + unnamed)
        self.files[DOCUMENTS] = FileRecord.of(self.path / DOCUMENTS)
        if holdout is not None:
            name = holdout.path.relative_to(self.path) / MANIFEST
            self.files[name.as_posix()] = FileRecord.of(self.path / name)
        manifest = Manifest(
            spec=self.spec,
            dtype=self.dtype,
            n_rows=self.n_rows,
            shard_rows=tuple(self.shard_rows),
            context_rows=tuple(self.context_rows),
            mean_squared_norm=float(self._sum_of_squares.sum()) / self.n_rows,
            n_documents=self.n_documents,
            corpus=corpus,
            harvest=settings,
            norms=self._norm_summary(),
            rounding=self.rounding,
            files=dict(sorted(self.files.items())),
            msae_version=__version__,
        )
        values = to_dict(manifest)
        if is_holdout:
            del values["msae_version"]  # its checksum is part of the store's fingerprint, which no version changes
        write_json(self.path / MANIFEST, values)

    def state(self) -> WriterState:
        """What `restore` needs to continue after the last flush."""
        return WriterState(
            shard_rows=tuple(self.shard_rows),
            context_rows=tuple(self.context_rows),
            n_documents=self.n_documents,
            files=dict(self.files),
            sum=tuple(value.hex() for value in self._sum.tolist()),
            sum_of_squares=tuple(value.hex() for value in self._sum_of_squares.tolist()),
            sum_of_errors=tuple(value.hex() for value in self._sum_of_errors.tolist()),
        )

    def restore(self, state: WriterState) -> None:
        """Go on from `state`. Raises `StoreError` when a shard written before is missing or has changed its size."""
        self.shard_rows, self.context_rows = list(state.shard_rows), list(state.context_rows)
        self.n_rows, self.n_documents = sum(self.shard_rows), state.n_documents
        self.files = dict(state.files)
        sums = [_from_hex(values) for values in (state.sum, state.sum_of_squares, state.sum_of_errors)]
        wrong = [name for name, record in self.files.items() if not _is_of_size(self.path / name, record.bytes)]
        if wrong or any(len(values) != self.spec.d_in for values in sums):
            what = wrong[0] if wrong else "its progress"
            raise StoreError(f"cannot continue the harvest in {self.path}: {what} is not as it was written. {RESTORE}")
        self._sum, self._sum_of_squares, self._sum_of_errors = sums

    def _norm_summary(self) -> NormSummary:
        shards = [self.path / shard_name("tokens", shard) for shard in range(len(self.shard_rows))]
        return summarize_norms([map_tensors(path)["norm"] for path in shards])

    def _write(self, name: str, tensors: dict[str, Tensor]) -> None:
        write_tensors(self.path / name, tensors)
        self.files[name] = FileRecord.of(self.path / name)


def _column_sums(rows: Float[Tensor, "rows d_in"], exact: Float[Tensor, "rows d_in"]) -> tuple[Tensor, Tensor, Tensor]:
    """Σx, Σx² and Σ(exact − x)² of each dimension in float64."""
    x = float64(rows)
    return x.sum(dim=0), x.square().sum(dim=0), (float64(exact) - x).square().sum(dim=0)


def _is_of_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _from_hex(values: Sequence[str]) -> Float[Tensor, " d_in"]:
    return torch.tensor([float.fromhex(value) for value in values], dtype=torch.float64)


def _stack(batches: list[ContextBatch]) -> dict[str, Tensor]:
    """All contexts as one tensor per field, shorter ones padded at the end."""
    width = max(batch.token_ids.shape[1] for batch in batches)

    def field(name: str, padding: int) -> Tensor:
        parts = [getattr(batch, name).cpu() for batch in batches]
        padded = [torch.nn.functional.pad(part, (0, width - part.shape[1]), value=padding) for part in parts]
        whole = torch.cat(padded)
        return whole if whole.dtype == torch.bool else whole.int()

    return {name: field(name, padding) for name, padding in _PADDING.items()}
