"""`harvest`: run a source over documents once and keep the activations on disk, in stores that resume and verify.

Rows are written in shards closed at the end of a model batch. After each shard one small progress file is replaced
atomically, so that a harvest killed at any moment goes on from its last shard (skipping the contexts already seen costs
their tokenisation, no model), and the finished store has the same bytes as one never interrupted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.activations.harvest_display import display, report
from msae.activations.harvest_state import HarvestState
from msae.activations.manifest import HOLDOUT, PROGRESS, HarvestSettings
from msae.activations.plan import DEFAULT_SHARD_ROWS, HarvestRequest, default_holdout_tokens, plan
from msae.activations.shards import DTYPES
from msae.activations.source import ActivationSource, ContextBatch
from msae.activations.store import ActivationStore
from msae.activations.store_folder import clear, harvested_into
from msae.activations.writer import StoreWriter
from msae.core.checked import checked
from msae.core.errors import ConfigError, CorpusError, DiskError, SourceError, StoreError
from msae.core.sinks import norms_of, sink_norm_of
from msae.core.spec import WITHOUT_SINKS, SourceSpec
from msae.data.documents import Document, NamesRead


@checked
def harvest(
    source: ActivationSource,
    documents: Iterable[Document],
    *,
    n_tokens: int,
    path: Path | str,
    dtype: str = "float16",
    holdout_tokens: int | None = None,
    leave_out_sinks: bool = False,
    shard_rows: int = DEFAULT_SHARD_ROWS,
    corpus: str = "",
    replace: bool = False,
    progress: bool = True,
) -> ActivationStore:
    """Keep `n_tokens` rows of the source's one hook in a store at `path`, and `holdout_tokens` more in its holdout.

    Every n-th context, from the first on, is set aside whole in ``path/holdout`` (default: a twentieth of the rows,
    100,000 at most). `dtype` on disk: ``float16``, ``bfloat16`` or ``float32``. `corpus` describes the text for people.
    `leave_out_sinks`: rows above 10 × the median norm of the first batch's rows are treated as those of special tokens
    are (with several hooks: where they are so at any of them); `ActivationStore.ordinary` leaves them out afterwards.
    With `progress`, a plan, a bar and a report go to standard error. A harvest that was stopped goes on when called
    again with the same arguments. With `replace`, what lies at `path` is replaced once the new store is finished, and
    is as it was until then. A corpus that runs out early gives a finished, smaller store and a warning; so do
    rows of huge norm that rule every figure (`msae.activations.norms`), and a `dtype` too coarse for small activations.

    Raises `StoreError` when the disk is too small or fills up, when a store or anything else lies at `path`, or when
    what was begun there had other settings or other text; `SourceError` for NaN or infinite activations; `CorpusError`
    when there is not one row.
    """
    if len(source.specs) != 1:
        raise ConfigError(
            f"harvest takes a source with one hook, this one has {sorted(source.specs)}: use harvest_hooks"
        )
    (hook,) = source.specs
    request = harvest_request(n_tokens, dtype, holdout_tokens, shard_rows, leave_out_sinks)
    return _harvest(source, documents, request, Path(path), {hook: ""}, corpus, replace, progress)[hook]


@checked
def harvest_hooks(
    source: ActivationSource,
    documents: Iterable[Document],
    *,
    n_tokens: int,
    path: Path | str,
    dtype: str = "float16",
    holdout_tokens: int | None = None,
    leave_out_sinks: bool = False,
    shard_rows: int = DEFAULT_SHARD_ROWS,
    corpus: str = "",
    replace: bool = False,
    progress: bool = True,
) -> dict[str, ActivationStore]:
    """`harvest` for every hook of the source from one pass: a store each at ``path/<hook name>``, by hook name."""
    request = harvest_request(n_tokens, dtype, holdout_tokens, shard_rows, leave_out_sinks)
    folders = {hook: hook for hook in source.specs}
    return _harvest(source, documents, request, Path(path), folders, corpus, replace, progress)


def harvest_request(
    n_tokens: int,
    dtype: str,
    holdout_tokens: int | None,
    shard_rows: int = DEFAULT_SHARD_ROWS,
    leave_out_sinks: bool = False,
) -> HarvestRequest:
    """What `harvest` is asked for; `ConfigError` for what makes no sense."""
    held_out = default_holdout_tokens(n_tokens) if holdout_tokens is None else holdout_tokens
    return HarvestRequest(
        n_tokens=n_tokens,
        dtype=dtype,
        holdout_tokens=held_out,
        shard_rows=shard_rows,
        leave_out_sinks=leave_out_sinks,
    )


def _harvest(
    source: ActivationSource,
    documents: Iterable[Document],
    request: HarvestRequest,
    path: Path,
    below: Mapping[str, str],
    corpus: str,
    replace: bool,
    progress: bool,
) -> dict[str, ActivationStore]:
    specs = dict(source.specs)
    if request.leave_out_sinks:
        specs = {hook: dataclasses.replace(spec, special_rows=WITHOUT_SINKS) for hook, spec in specs.items()}
    read = NamesRead(documents)

    def goes_on(root: Path) -> bool:
        with contextlib.suppress(StoreError):
            return not HarvestState.read(root / PROGRESS).differences(request, specs)
        return False

    with harvested_into(path, list(below.values()), replace=replace, goes_on=goes_on) as root:
        run = _Harvest(specs, request, root, {hook: root / name for hook, name in below.items()})
        the_plan = plan(request, specs, path=path, bytes_free=_bytes_free(root), rows_done=run.rows_done)
        the_plan.require_room()
        with display(the_plan, shown=progress) as advance:
            for batch in run.unseen(source.contexts(read)):
                advance(run.take(batch, source.activations(batch), read.names))
        run.finish(read.names, corpus or getattr(documents, "description", ""))
    stores = {hook: ActivationStore.open(path / name) for hook, name in below.items()}
    report(stores, shown=progress)
    return stores


class _Harvest:
    """The stores being written, and how far they are: the same state in memory and in the progress file."""

    def __init__(
        self, specs: Mapping[str, SourceSpec], request: HarvestRequest, root: Path, folders: Mapping[str, Path]
    ) -> None:
        self.specs, self.request, self.root, self.folders = specs, request, root, folders
        self.train = {hook: StoreWriter(folders[hook], spec, request.dtype) for hook, spec in specs.items()}
        self.held_out = {
            hook: StoreWriter(folders[hook] / HOLDOUT, spec, request.dtype) for hook, spec in specs.items()
        }
        self.batches = 0
        self.contexts = 0
        self.digest = ""
        self.sink_norms: dict[str, float] = {}
        if (root / PROGRESS).is_file():
            self._restore(HarvestState.read(root / PROGRESS))
        self._claim = self._state()

    @property
    def rows_done(self) -> int:
        """Rows in each store so far, holdout not counted."""
        return next(iter(self.train.values())).n_rows

    def unseen(self, contexts: Iterator[ContextBatch]) -> Iterator[ContextBatch]:
        """The batches still to be harvested, until there are enough rows.

        Raises `StoreError` when those already harvested were other ones.
        """
        seen, digest = 0, ""
        while seen < self.batches or self.rows_done < self.request.n_tokens:
            batch = next(contexts, None)
            if batch is None:
                break
            seen, digest = seen + 1, _chain(digest, batch)
            if seen > self.batches:
                self.digest = digest
                yield batch
            elif seen == self.batches and digest != self.digest:
                raise self._other_text()
        if seen < self.batches:
            raise self._other_text()

    def take(self, batch: ContextBatch, activations: Mapping[str, Tensor], names: list[str]) -> int:
        """Add a batch's rows to every store, and write a shard when enough are pending. Returns the rows taken."""
        if self.request.leave_out_sinks:
            batch = self._without_sinks(batch, activations)
        stride = self.request.holdout_stride
        number = torch.arange(self.contexts, self.contexts + len(batch))
        held = number % stride == 0 if stride else torch.zeros(len(batch), dtype=torch.bool)
        keep = batch.keep.cpu()
        to_train = _positions(keep & ~held[:, None])[: self.request.n_tokens - self.rows_done]
        to_holdout = _positions(keep & held[:, None])
        fields = (batch.token_ids, batch.document, batch.offset, batch.position)
        origins = torch.stack([field.flatten().cpu() for field in fields])
        for hook, spec in self.specs.items():
            rows = _flat_rows(activations, hook, spec, batch)
            for writer, chosen in ((self.train[hook], to_train), (self.held_out[hook], to_holdout)):
                kept = rows[chosen.to(rows.device)]
                stored = _stored(kept, self.request.dtype, hook, origins[:, chosen], names)
                writer.add(stored, origins[:, chosen], kept)
            self.held_out[hook].add_contexts(batch.select(held.nonzero().squeeze(1)))
        self.batches += 1
        self.contexts += len(batch)
        if next(iter(self.train.values())).pending_rows >= self.request.shard_rows:
            self._flush()
        return len(to_train) + len(to_holdout)

    def _without_sinks(self, batch: ContextBatch, activations: Mapping[str, Tensor]) -> ContextBatch:
        keep = batch.keep.flatten()
        sink = torch.zeros(int(keep.sum()), dtype=torch.bool)
        for hook, spec in self.specs.items():
            rows = _flat_rows(activations, hook, spec, batch)
            norms = norms_of(rows[keep.to(rows.device)]).cpu()
            if hook not in self.sink_norms and math.isfinite(limit := sink_norm_of(norms)):
                self.sink_norms[hook] = limit
            sink |= norms > self.sink_norms.get(hook, math.inf)
        return batch.without(sink.nonzero()[:, 0])

    def finish(self, names: list[str], corpus: str) -> None:
        """Write what is pending and the manifests; from then on the stores are finished."""
        if self.rows_done == 0:
            raise CorpusError(
                f"the documents gave no row for {self.root}: {len(names)} documents, {self.contexts} contexts, "
                "of which the first is held out. Give more text, or holdout_tokens=0."
            )
        self._flush()
        with self._kept_on_failure():
            for hook, writer in self.train.items():
                holdout = self.held_out[hook] if self.held_out[hook].n_rows else None
                if holdout is not None:
                    holdout.finish(names, corpus, self._settings(), is_holdout=True)
                writer.finish(names, corpus, self._settings(), holdout)
        (self.root / PROGRESS).unlink()
        if self.rows_done < self.request.n_tokens:
            warnings.warn(
                f"the documents ran out: {self.root} holds {self.rows_done:,} rows, not {self.request.n_tokens:,}. "
                "It is finished and can be used; for more rows, give more text and harvest into another folder.",
                stacklevel=4,
            )

    def _flush(self) -> None:
        with self._kept_on_failure():
            if self._claim.is_empty:
                # Before the first shard, so that the shard of a killed process is known as ours; not earlier, so that a
                # harvest that never wrote a row does not stand in the way of another.
                self._claim.write(self.root / PROGRESS)
            for hook in self.specs:
                self.train[hook].flush()
                self.held_out[hook].flush()
            self._claim = self._state()
            self._claim.write(self.root / PROGRESS)

    def _state(self) -> HarvestState:
        return HarvestState(
            request=self.request,
            specs=self.specs,
            batches=self.batches,
            contexts=self.contexts,
            digest=self.digest,
            sink_norms=self.sink_norms,
            train={hook: writer.state() for hook, writer in self.train.items()},
            held_out={hook: writer.state() for hook, writer in self.held_out.items()},
        )

    def _restore(self, state: HarvestState) -> None:
        if state.is_empty:
            clear(self.root)
            return
        if differences := state.differences(self.request, self.specs):
            raise StoreError(
                f"{self.root} holds a harvest begun with other settings ({'; '.join(differences)}). Call it with those "
                "to go on, choose another folder, or replace it with replace=True."
            )
        self.batches, self.contexts, self.digest = state.batches, state.contexts, state.digest
        self.sink_norms = dict(state.sink_norms)
        for hook in self.specs:
            self.train[hook].restore(state.train[hook])
            self.held_out[hook].restore(state.held_out[hook])

    def _settings(self) -> HarvestSettings:
        return HarvestSettings(
            n_tokens=self.request.n_tokens,
            holdout_tokens=self.request.holdout_tokens,
            holdout_stride=self.request.holdout_stride,
            shard_rows=self.request.shard_rows,
            tokens_digest=self.digest,
        )

    def _other_text(self) -> StoreError:
        return StoreError(
            f"{self.root} holds a harvest begun on other text: its first {self.batches} batches were not these. "
            "Give the same documents in the same order, or choose another folder."
        )

    @contextlib.contextmanager
    def _kept_on_failure(self) -> Iterator[None]:
        try:
            yield
        except (StoreError, DiskError) as error:
            raise StoreError(
                f"the harvest into {self.root} stopped at row {self.rows_done:,} of {self.request.n_tokens:,}: {error} "
                "What was written before is kept: free some space and run the same harvest again to continue."
            ) from error


def _flat_rows(
    activations: Mapping[str, Tensor], hook: str, spec: SourceSpec, batch: ContextBatch
) -> Float[Tensor, "positions d_in"]:
    expected = (*batch.token_ids.shape, spec.d_in)
    found = tuple(activations[hook].shape) if hook in activations else "nothing"
    if found != expected:
        raise SourceError(f"the source gave {found} at {hook}; its spec and contexts call for {expected}")
    return activations[hook].detach().reshape(-1, spec.d_in)


def _stored(
    rows: Float[Tensor, "rows d_in"], dtype: str, hook: str, origins: Int[Tensor, "4 rows"], names: list[str]
) -> Float[Tensor, "rows d_in"]:
    """The rows in the dtype on disk. Raises `SourceError` for NaN or infinity, `StoreError` for a float16 overflow."""
    stored = rows.to(DTYPES[dtype])
    if stored.isfinite().all():
        return stored
    row = int((~stored.isfinite().all(dim=1)).nonzero()[0])
    _, document, offset, _ = origins[:, row].tolist()
    where = f"at {hook}, document {names[document] if document < len(names) else document!r}, token {offset}"
    if rows[row].isfinite().all():
        raise StoreError(
            f"the activation {float(rows[row].abs().max()):.6g} {where} is beyond the range of {dtype} "
            f"({torch.finfo(DTYPES[dtype]).max:.6g}): use dtype='bfloat16' or 'float32'."
        )
    raise SourceError(
        f"the source gave NaN or infinite activations {where}. Nothing of this batch was kept. Run the model in "
        "another dtype (float16 overflows in many models), or leave this document out."
    )


def _positions(mask: Tensor) -> Int[Tensor, " rows"]:
    return mask.flatten().nonzero().squeeze(1)


def _chain(digest: str, batch: ContextBatch) -> str:
    link = hashlib.sha256(digest.encode())
    for field in (batch.token_ids, batch.document, batch.offset):
        link.update(field.cpu().int().contiguous().numpy().tobytes())
    return link.hexdigest()


def _bytes_free(path: Path) -> int:
    return shutil.disk_usage(path).free
