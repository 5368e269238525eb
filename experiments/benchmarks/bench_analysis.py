"""What the analysis costs beside the encoder's own forward on the same tokens, and its peak memory.

The rows are a sparse mix of random directions, so that codes are about as many as asked for and fire together as a
mixture does; the SAE is drawn at random over them. Target: the pass with every table ≤ 1.5 × the encoder's forward.
The ratio is given in CPU seconds too: on a machine that is busy with something else it is the fair one.

    python experiments/benchmarks/bench_analysis.py --n_tokens 50000 --d_sae 4096
    python experiments/benchmarks/bench_analysis.py                       # 1M tokens, d_sae 16384
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.lib.machine import in_a_line, machine
from experiments.lib.results import Figure, record
from msae.activations.store import RowTokens
from msae.analysis.all_measurements import MEASUREMENTS
from msae.analysis.features import collection
from msae.analysis.features.collection import collect
from msae.analysis.sample.encode import BLOCK_NUMBERS
from msae.analysis.tables import write_tables
from msae.core.rng import torch_stream
from msae.sae import BatchTopK, FixedPrefixes, SparseAutoencoder

QUESTION = "What does the analysis cost?"
CHUNK = 1 << 14
DOCUMENT = 512
STAGES = ("encode_all", "ranked", "pick", "find_pairs", "example_columns", "nearest_directions", "make_table")


class MixedRows:
    """Rows made anew at each reading: sums of `mixed` latents' directions, chosen with Zipf weights, plus noise."""

    def __init__(self, sae: SparseAutoencoder, n_rows: int, mixed: int) -> None:
        self.n_rows, self._sae, self._mixed = n_rows, sae, mixed
        generator = torch_stream(0, "bench/weights")
        order = torch.randperm(sae.d_sae, generator=generator)
        self._weights = 1.0 / (10 + order.float())

    def rows(self, start: int, stop: int) -> Tensor:
        chunks = range(start // CHUNK, (stop - 1) // CHUNK + 1)
        made = torch.cat([self._chunk(chunk) for chunk in chunks])
        return made[start - chunks[0] * CHUNK : stop - chunks[0] * CHUNK]

    def tokens(self, start: int, stop: int) -> RowTokens:
        row = torch.arange(start, stop)
        return RowTokens(token_id=row * 2654435761 % 4096, document=row // DOCUMENT, offset=row % DOCUMENT)

    def document_names(self) -> list[str]:
        return [f"document {number}" for number in range(self.n_rows // DOCUMENT + 1)]

    def _chunk(self, chunk: int) -> Tensor:
        generator = torch_stream(chunk, "bench/rows")
        latent = torch.multinomial(self._weights, CHUNK * self._mixed, replacement=True, generator=generator)
        latent = latent.view(CHUNK, self._mixed)
        value = 1 + torch.rand(CHUNK, self._mixed, generator=generator)
        rows = torch.nn.functional.embedding_bag(latent, self._sae.W_dec.detach(), mode="sum", per_sample_weights=value)
        return rows + 0.02 * torch.randn(rows.shape, generator=generator)


def make(d_in: int, d_sae: int, k: int, n_tokens: int) -> tuple[SparseAutoencoder, MixedRows]:
    widths = (d_sae // 16, d_sae // 4, d_sae)
    sae = SparseAutoencoder(d_in, d_sae, BatchTopK(k=k), FixedPrefixes(widths)).eval()
    rows = MixedRows(sae, n_tokens, k)
    with torch.no_grad():
        some = torch.cat([sae.pre_activations(part).flatten().topk(k * len(part)).values[-1:] for part in
                          rows.rows(0, 2048).split(256)])  # fmt: skip
        sae.threshold.fill_(float(some.mean()))
    return sae, rows


def now() -> np.ndarray:
    """Wall and CPU seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def seconds_reading(rows: MixedRows) -> np.ndarray:
    start = now()
    for first in range(0, rows.n_rows, CHUNK):
        rows.rows(first, min(first + CHUNK, rows.n_rows))
    return now() - start


@torch.no_grad()
def seconds_encoding(sae: SparseAutoencoder, rows: MixedRows) -> np.ndarray:
    """The encoder's forward alone: (x − b_dec) W_enc + b_enc, block by block, in the block size the analysis uses."""
    block, total = max(1, BLOCK_NUMBERS // sae.d_sae), np.zeros(2)
    for first in range(0, rows.n_rows, CHUNK):
        x = rows.rows(first, min(first + CHUNK, rows.n_rows))
        start = now()
        for part in x.split(block):
            torch.addmm(sae.b_enc, part - sae.b_dec, sae.W_enc)
        total += now() - start
    return total


@contextmanager
def anonymous_peak() -> Iterator[list[float]]:
    """The most anonymous memory (mapped files left out) held inside the block, in bytes, from /proc, every 20 ms."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    peak[0] = max(peak[0], int(line.split()[1]) * 1024)

    thread = threading.Thread(target=watch, daemon=True)
    if sys.platform == "linux":
        thread.start()
    try:
        yield peak
    finally:
        done.set()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("n_tokens", 1_000_000), ("d_sae", 16384), ("d_in", 512), ("k", 32)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--measurements", action="store_true", help="time tree, splitting and absorption as well")
    parser.add_argument("--results", type=Path, help="write every figure there (JSON)")
    args = parser.parse_args()
    sae, rows = make(args.d_in, args.d_sae, args.k, args.n_tokens)
    reading, encoding = seconds_reading(rows), seconds_encoding(sae, rows)

    stages: dict[str, float] = {}
    for name in STAGES:
        setattr(collection, name, timed(getattr(collection, name), name, stages))
    update = collection.FeatureStatistics.update
    collection.FeatureStatistics.update = timed(update, "statistics", stages)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder, anonymous_peak() as peak:
        start = now()
        collected = collect(sae, rows, scratch=Path(folder))
        timed(write_tables, "write_tables", stages)(collected.tables, Path(folder))
        total = now() - start - reading
        written = sum(file.stat().st_size for file in Path(folder).glob("*.parquet"))
        measured = {}
        if args.measurements:
            for cls in MEASUREMENTS:
                start = time.perf_counter()
                summary = cls().run(collected).summary
                measured[cls.name] = time.perf_counter() - start
                print(cls.name, dict(summary))

    print(f"{args.n_tokens:,} tokens, d_in {args.d_in}, d_sae {args.d_sae:,}, {torch.get_num_threads()} threads")
    print(f"codes                 {len(collected.codes) / collected.codes.n_rows:8.1f} a token")
    print(f"encoder's forward     {encoding[0]:8.1f} s, CPU {encoding[1]:.1f} s")
    print(f"the pass, all tables  {total[0]:8.1f} s, CPU {total[1]:.1f} s, without making rows ({reading[0]:.1f} s)")
    ratio = total / encoding
    print(f"ratio                 {ratio[0]:8.2f}   (target: at most 1.5), of CPU seconds {ratio[1]:.2f}")
    for name, seconds in {**stages, **measured}.items():
        less = reading[0] if name == "encode_all" else 0.0
        print(f"  {name:<19} {seconds - less:8.1f} s")
    print(f"tables                {written / 1e6:8.1f} MB")
    print(f"peak memory           {peak[0] / 1e6:8.0f} MB anonymous, {_peak_rss() / 1e6:,.0f} MB with mapped files")
    print(in_a_line(machine()))
    if args.results:
        sizes = {name: value for name, value in vars(args).items() if name not in ("results", "measurements")}
        record(
            args.results,
            __file__,
            question=QUESTION,
            figures=[
                _once("the pass with all tables / the encoder's forward", ratio[0], "ratio"),
                _once("the pass with all tables / the encoder's forward, processor time", ratio[1], "ratio"),
                _once("codes", len(collected.codes) / collected.codes.n_rows, "codes a token"),
                _once("encoder's forward", encoding[1], "s of processor"),
                _once("the pass with all tables", total[1], "s of processor"),
                *(_once(f"stage: {name}", seconds, "s") for name, seconds in {**stages, **measured}.items()),
                _once("tables", written / 1e6, "MB"),
                _once("peak memory", peak[0] / 1e9, "GB"),
            ],
            settings=sizes,
        )


def _once(name: str, value: float, unit: str) -> Figure:
    return Figure(name=name, value=float(value), unit=unit, n=1, of="run")


def timed(function, name: str, stages: dict[str, float]):
    """`function`, its time added to `stages`; an iterator's time is what making its items takes."""

    def call(*args, **kwargs):
        start = time.perf_counter()
        made = function(*args, **kwargs)
        stages[name] = stages.get(name, 0.0) + time.perf_counter() - start
        return items(made) if isinstance(made, Iterator) else made

    def items(made):
        while True:
            start = time.perf_counter()
            item = next(made, None)
            stages[name] += time.perf_counter() - start
            if item is None:
                return
            yield item

    return call


def _peak_rss() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


if __name__ == "__main__":
    main()
