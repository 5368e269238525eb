"""`ActivationStore`: activations on disk, memory-mapped, with the origin of every row and a holdout of their own."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.activations import shuffle
from msae.activations.manifest import DOCUMENTS, HOLDOUT, MANIFEST, MEAN, Manifest, shard_name
from msae.activations.moments import scale_from_moments, variance_from_moments
from msae.activations.norms import NormSummary, norms_of, summarize_norms
from msae.activations.shards import DTYPES, RESTORE, map_tensors
from msae.activations.source import ContextBatch
from msae.activations.store_folder import held
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import StoreError
from msae.core.files import read_json
from msae.core.numerics import float64
from msae.core.spec import WITHOUT_SINKS, SourceSpec

NORMS_AT_ONCE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class RowTokens:
    """The origin of rows: the token, its document (counted from 0 in the order read), its offset there in tokens, and
    its `position`: how many tokens of its context the model had read before it, BOS and other special tokens included.

    `position` is None for rows of unknown contexts: those of stores made before positions were kept.
    """

    token_id: Int[Tensor, " rows"]
    document: Int[Tensor, " rows"]
    offset: Int[Tensor, " rows"]
    position: Int[Tensor, " rows"] | None = None

    @property
    def opens_context(self) -> Bool[Tensor, " rows"] | None:
        """Whether each row is the first of its context among these rows, which are in reading order: the model saw
        none of the rows before it. None where positions are unknown."""
        if self.position is None:
            return None
        before = torch.cat([self.position[:1], self.position[:-1]])
        return self.position <= before


@checked
@final
class ActivationStore:
    """Activations of one hook on disk. Make one with `harvest`, open one with `ActivationStore.open`.

    Rows are in reading order. Special tokens have none. Moments are over all rows, as stored.
    """

    def __init__(
        self, path: Path, manifest: Manifest, fingerprint: str, left_out: Int[Tensor, " sinks"] | None = None
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.fingerprint = fingerprint
        self._left_out = left_out
        self._starts = [0, *accumulate(manifest.shard_rows)]
        self._acts: dict[int, Tensor] = {}

    @classmethod
    def open(cls, path: Path | str) -> ActivationStore:
        """The finished store at `path`, after checking that every file has the size it was written with.

        Raises `StoreError` for a folder that is no store, an unfinished store, and a missing or truncated file.
        """
        manifest, fingerprint = Manifest.read(Path(path))
        manifest.check_sizes(Path(path))
        return cls(Path(path), manifest, fingerprint)

    @classmethod
    def open_for(cls, path: Path | str, spec: SourceSpec) -> ActivationStore:
        """The store at `path` as whoever recorded `spec` read it: without its sinks where it was read without."""
        store = cls.open(path)
        return store.ordinary() if spec.special_rows == WITHOUT_SINKS else store

    def ordinary(self) -> ActivationStore:
        """The same store without its sinks, the rows above 10 × the median norm, in its holdout too. Nothing is copied.

        Mean, scale and variance are those of the rows that are left; contexts keep the tokens, marked as special ones.
        """
        return self if self.spec.special_rows == WITHOUT_SINKS else self._without(self.norm_summary.sink_norm)

    def _without(self, sink_norm: float) -> ActivationStore:
        norms = [self.norms(start, stop) for start, stop in pairwise(self._starts)]
        sinks = torch.cat([torch.empty(0), *norms]) > sink_norm
        view = ActivationStore(self.path, self.manifest, f"{self.fingerprint} without sinks", sinks.nonzero()[:, 0])
        if self.holdout is not None:
            view.holdout = self.holdout._without(sink_norm)
        return view

    def __repr__(self) -> str:
        return (
            f"ActivationStore({str(self.path)!r}: {self.n_rows:,} rows of {self.d_in} {self.dtype}, "
            f"{self.spec.model} {self.spec.hook_name})"
        )

    def __len__(self) -> int:
        return self.n_rows

    @property
    def spec(self) -> SourceSpec:
        """What made the activations."""
        spec = self.manifest.spec
        return spec if self._left_out is None else replace(spec, special_rows=WITHOUT_SINKS)

    @property
    def dtype(self) -> str:
        """``float16``, ``bfloat16`` or ``float32``: the dtype on disk. Reading always gives float32."""
        return self.manifest.dtype

    @property
    def d_in(self) -> int:
        """Numbers a row."""
        return self.manifest.spec.d_in

    @property
    def n_rows(self) -> int:
        """Rows, holdout not included."""
        return self.manifest.n_rows - (0 if self._left_out is None else len(self._left_out))

    @property
    def mean_squared_norm(self) -> float:
        """E‖x‖² over all rows."""
        return self._moments[1]

    @cached_property
    def mean(self) -> Float[Tensor, " d_in"]:
        """The mean row, float32."""
        return self._exact_mean.float()

    @cached_property
    def scale(self) -> float:
        """s with E‖s·x‖² = d_in."""
        return scale_from_moments(self.mean_squared_norm, self.d_in)

    @cached_property
    def variance(self) -> float:
        """E‖x − mean‖² over all rows."""
        return variance_from_moments(self._exact_mean, self.mean_squared_norm)

    @cached_property
    def holdout(self) -> ActivationStore | None:
        """The contexts set aside and never trained on, a store of its own; None when none were."""
        if f"{HOLDOUT}/{MANIFEST}" not in self.manifest.files:
            return None
        self.manifest.check_file(self.path, f"{HOLDOUT}/{MANIFEST}")
        return ActivationStore.open(self.path / HOLDOUT)

    def rows(self, start: int, stop: int) -> Float[Tensor, "rows d_in"]:
        """Rows [start, stop) in reading order, as float32."""
        self._check_range(start, stop)
        return self.gather([(start, stop)]).float()

    def tokens(self, start: int, stop: int) -> RowTokens:
        """The origin of rows [start, stop)."""
        columns = {name: self._column(name, start, stop) for name in ("token_id", "document", "offset", "position")}
        return RowTokens(**{name: column.long() for name, column in columns.items() if column is not None})

    def norms(self, start: int, stop: int) -> Float[Tensor, " rows"]:
        """‖x‖ of rows [start, stop) as stored, float32.

        To keep sinks out of a figure: ``ordinary = store.norms(a, b) <= store.norm_summary.sink_norm``.
        """
        kept = self._column("norm", start, stop)
        return norms_of(self.rows(start, stop)) if kept is None else kept.clone()

    @cached_property
    def norm_summary(self) -> NormSummary:
        """How the norms of all rows are spread; stores made before norms were kept are read through for it."""
        if self.manifest.norms is not None and self._left_out is None:
            return self.manifest.norms
        bounds = [*range(0, self.n_rows, NORMS_AT_ONCE), self.n_rows]
        return summarize_norms([self.norms(a, b) for a, b in pairwise(bounds)])

    def document_names(self) -> list[str]:
        """The names of the documents, so that ``names[tokens.document]`` tells where a row is from."""
        self.manifest.check_file(self.path, DOCUMENTS)
        return read_json(self.path / DOCUMENTS, StoreError, expected=list, hint=RESTORE)

    def contexts(self, batch_size: int = 16) -> Iterator[ContextBatch]:
        """The full contexts of a holdout, special tokens included, in the order read.

        Raises `StoreError` for a store that is not a holdout: use ``store.holdout.contexts()``.
        """
        if not self.manifest.context_rows:
            raise StoreError(
                f"{self.path} keeps rows but no contexts: only a holdout does, see store.holdout.contexts()"
            )
        require(batch_size > 0, "batch_size", batch_size, "at least one context")
        return self._contexts(batch_size)

    def batches(
        self,
        batch_size: int,
        *,
        seed: int,
        start: int = 0,
        buffer_rows: int | None = None,
        prefetch: bool = True,
    ) -> Generator[Float[Tensor, "batch d_in"], None, None]:
        """Endless shuffled float32 batches, each row once an epoch; see `msae.activations.shuffle`.

        The same (seed, batch_size, buffer_rows) gives the same sequence, and `start` (batches already consumed) goes on
        in it. `buffer_rows` defaults to 128 MiB of rows. A batch may span two epochs, and one larger than the store
        repeats rows. With `prefetch` a thread makes batches ahead; it ends when the iterator is closed or dropped.
        """
        buffer_rows = buffer_rows or max(1, shuffle.BUFFER_BYTES // (self.d_in * DTYPES[self.dtype].itemsize))
        batches = shuffle.shuffled_batches(self, batch_size, seed=seed, start=start, buffer_rows=buffer_rows)
        return shuffle.prefetched(batches) if prefetch else batches

    def gather(self, spans: Sequence[tuple[int, int]]) -> Float[Tensor, "rows d_in"]:
        """The rows of every [start, stop) span, one span after the other, in the dtype on disk."""
        return self._read([piece for start, stop in spans for piece in self._pieces(start, stop)])

    def held(self) -> AbstractContextManager[None]:
        """While it lasts, nobody replaces the store; `BusyError` when it is being written or replaced."""
        return held(self.path)

    def check(self) -> None:
        """Make sure that every row can be read and is as it was written; `StoreError` where not."""
        for shard in range(len(self.manifest.shard_rows)):
            self._shard_acts(shard)

    def verify(self) -> None:
        """Read every file, the holdout's too, and raise `StoreError` naming those whose SHA-256 has changed."""
        self.manifest.check_contents(self.path)
        if self.holdout is not None:
            self.holdout.verify()

    @property
    def _exact_mean(self) -> Float[Tensor, " d_in"]:
        return self._moments[0]

    @cached_property
    def _moments(self) -> tuple[Float[Tensor, " d_in"], float]:
        """The mean (float64) and E‖x‖², of what is left once sinks are taken off the sums."""
        mean, square = self._tensors(MEAN)["mean"].clone(), self.manifest.mean_squared_norm
        if self._left_out is None or not len(self._left_out):
            return mean, square
        n, sinks = self.manifest.n_rows, torch.zeros_like(mean)
        square *= n
        for rows in self._left_out.split(1024):
            x = float64(self._read([piece for row in rows.tolist() for piece in self._stored(row, row + 1)]))
            sinks += x.sum(0)
            square -= float(x.square().sum())
        return (n * mean - sinks) / max(1, self.n_rows), square / max(1, self.n_rows)

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """The parts of rows [start, stop) in each shard, as (shard, first, last + 1) counted in the shard."""
        if self._left_out is None or start == stop:
            yield from self._stored(start, stop)
            return
        # Row i of those left is row i + n of all, n the sinks before it.
        before = self._left_out - torch.arange(len(self._left_out))
        first, last = (i + int(torch.searchsorted(before, i, right=True)) for i in (start, stop - 1))
        between = self._left_out[(self._left_out > first) & (self._left_out < last)].tolist()
        for a, b in zip([first, *(row + 1 for row in between)], [*between, last + 1], strict=True):
            yield from self._stored(a, b)

    def _stored(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """`_pieces`, of rows as they are numbered on disk."""
        shard = bisect_right(self._starts, start) - 1
        while start < stop:
            end = min(stop, self._starts[shard + 1])
            yield shard, start - self._starts[shard], end - self._starts[shard]
            start, shard = end, shard + 1

    def _read(self, pieces: Sequence[tuple[int, int, int]]) -> Float[Tensor, "rows d_in"]:
        out = torch.empty(sum(b - a for _, a, b in pieces), self.d_in, dtype=DTYPES[self.dtype])
        for shard in {shard for shard, _, _ in pieces}:
            # A file that was cut while it is mapped would end the process with a bus error when its rows are read.
            self.manifest.check_size(self.path, shard_name("acts", shard))
        filled = 0
        for shard, a, b in pieces:
            out[filled : filled + b - a] = self._shard_acts(shard)[a:b]
            filled += b - a
        return out

    def _shard_acts(self, shard: int) -> Tensor:
        if shard not in self._acts:
            name = shard_name("acts", shard)
            acts = self._tensors(name).get("acts")
            expected = ((self.manifest.shard_rows[shard], self.d_in), DTYPES[self.dtype])
            if acts is None or (tuple(acts.shape), acts.dtype) != expected:
                raise StoreError(f"{self.path / name} does not hold the {expected} its manifest says. {RESTORE}")
            self._acts[shard] = acts
        return self._acts[shard]

    def _tensors(self, name: str) -> dict[str, Tensor]:
        """A file's tensors, mapped, once it is known to be the file that was written."""
        self.manifest.check_file(self.path, name)
        return map_tensors(self.path / name)

    def _column(self, name: str, start: int, stop: int) -> Tensor | None:
        """One fact of rows [start, stop); None where the store does not have it."""
        self._check_range(start, stop)
        empty = [] if start < stop else [torch.empty(0)]
        pieces = [(self._tensors(shard_name("tokens", shard)), a, b) for shard, a, b in self._pieces(start, stop)]
        known = all(name in tensors for tensors, _, _ in pieces)
        return torch.cat([*empty, *(tensors[name][a:b] for tensors, a, b in pieces)]) if known else None

    def _contexts(self, batch_size: int) -> Iterator[ContextBatch]:
        seen = 0
        for shard in range(len(self.manifest.context_rows)):
            tensors = self._tensors(shard_name("contexts", shard))
            for part in torch.arange(self.manifest.context_rows[shard]).split(batch_size):
                batch = ContextBatch(
                    token_ids=tensors["token_ids"][part].long(),
                    document=tensors["document"][part].long(),
                    offset=tensors["offset"][part].long(),
                    attention=tensors["attention"][part].clone(),
                )
                n_rows = int(batch.keep.sum())
                yield batch if self._left_out is None else batch.without(self._left_out - seen)
                seen += n_rows

    def _check_range(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.n_rows:
            raise StoreError(f"rows [{start}, {stop}) were requested of {self.path}, which has {self.n_rows}")
