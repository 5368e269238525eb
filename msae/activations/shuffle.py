"""Rows in random order from a store larger than memory: small blocks permuted over the whole store, then rows
permuted within a buffer of blocks.

An epoch's order depends on (seed, epoch) alone, so a position is a count: the rows consumed so far. Going on from
there costs one permutation of the blocks and one buffer. Batches are always full: what is left of an epoch begins the
batch that the next epoch completes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msae.core.config import require
from msae.core.rng import torch_stream

BLOCK_ROWS = 16
BUFFER_BYTES = 128 * 2**20


@runtime_checkable
class RowReader(Protocol):
    """What the shuffle reads from: rows by number, in the dtype they are kept in."""

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        ...

    def gather(self, spans: Sequence[tuple[int, int]]) -> Float[Tensor, "rows d_in"]:
        """The rows of every [start, stop) span, one span after the other."""
        ...


def shuffled_batches(
    reader: RowReader, batch_size: int, *, seed: int, start: int = 0, buffer_rows: int
) -> Generator[Float[Tensor, "batch d_in"], None, None]:
    """Endless float32 batches: every row exactly once an epoch, each epoch in an order of its own.

    `start` counts batches already consumed: the sequence is the one that began at 0 with those left out.
    `buffer_rows` bounds the memory; a batch mixes rows from ``buffer_rows / BLOCK_ROWS`` places of the store.
    """
    require(batch_size > 0, "batch_size", batch_size, "at least one row")
    require(start >= 0, "start", start, "a count of batches consumed, 0 or more")
    require(buffer_rows > 0, "buffer_rows", buffer_rows, "at least one row")
    require(reader.n_rows > 0, "n_rows", reader.n_rows, "a store with at least one row")
    return _batches(reader, batch_size, seed, start, max(1, buffer_rows // BLOCK_ROWS))


def _batches(
    reader: RowReader, batch_size: int, seed: int, start: int, buffer_blocks: int
) -> Generator[Tensor, None, None]:
    epoch, skip = divmod(start * batch_size, reader.n_rows)
    pieces: list[Tensor] = []
    missing = batch_size
    while True:
        for buffer, order in _epoch(reader, seed, epoch, skip, buffer_blocks):
            while len(order):
                now, order = order[:missing], order[missing:]
                pieces.append(buffer[now].float())
                missing -= len(now)
                if missing == 0:
                    yield pieces[0] if len(pieces) == 1 else torch.cat(pieces)
                    pieces, missing = [], batch_size
        epoch, skip = epoch + 1, 0


def _epoch(
    reader: RowReader, seed: int, epoch: int, skip: int, buffer_blocks: int
) -> Iterator[tuple[Float[Tensor, "rows d_in"], Int[Tensor, " rows"]]]:
    """The buffers of one epoch with the order to take their rows in, the epoch's first `skip` rows left out."""
    blocks = _permutation(-(-reader.n_rows // BLOCK_ROWS), seed, f"shuffle/{epoch}/blocks")
    for index, chosen in enumerate(blocks.split(buffer_blocks)):
        spans = [
            (block * BLOCK_ROWS, min(reader.n_rows, (block + 1) * BLOCK_ROWS))
            for block in chosen.sort().values.tolist()
        ]
        rows = sum(stop - first for first, stop in spans)
        if skip >= rows:
            skip -= rows
            continue
        order = _permutation(rows, seed, f"shuffle/{epoch}/rows/{index}")
        yield reader.gather(spans), order[skip:]
        skip = 0


def _permutation(n: int, seed: int, stream: str) -> Int[Tensor, " n"]:
    return torch.randperm(n, generator=torch_stream(seed, stream))


def prefetched(items: Iterator[Tensor], depth: int = 4) -> Generator[Tensor, None, None]:
    """The same items, made up to `depth` ahead in a thread.

    An error raised while making an item is raised here in its place. The thread ends when this iterator is closed,
    exhausted or garbage collected.
    """
    ready: queue.Queue[tuple[Tensor | None, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()
    worker = threading.Thread(target=_fill, args=(items, ready, stopped), name="msae-prefetch", daemon=True)
    worker.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopped.set()
        _drain(ready)
        worker.join()


def _fill(items: Iterator[Tensor], ready: queue.Queue, stopped: threading.Event) -> None:
    try:
        for item in items:
            ready.put((item, None))
            if stopped.is_set():
                return
        ready.put((None, None))
    except BaseException as error:
        ready.put((None, error))


def _drain(ready: queue.Queue) -> None:
    while True:
        try:
            ready.get_nowait()
        except queue.Empty:
            return
