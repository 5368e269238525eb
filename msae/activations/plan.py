"""What a harvest will cost, known before it starts: rows, disk, memory, and time once a few batches were measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msae.activations.shards import DTYPES
from msae.core.config import require
from msae.core.errors import StoreError
from msae.core.spec import SourceSpec

DEFAULT_SHARD_ROWS = 65_536
_TOKEN_BYTES = 20
_CONTEXT_BYTES = 13
_SLACK_BYTES = 2**16


@dataclass(frozen=True, kw_only=True)
class HarvestRequest:
    """What a harvest is to do.

    `n_tokens`: rows in the store. `holdout_tokens`: about as many rows more in the holdout (0: no holdout), in whole
    contexts spread evenly over the text. `shard_rows`: rows after which a shard is closed. `leave_out_sinks`: no row
    above 10 × the median norm is kept.
    """

    n_tokens: int
    dtype: str = "float16"
    holdout_tokens: int = 0
    shard_rows: int = DEFAULT_SHARD_ROWS
    leave_out_sinks: bool = False

    def __post_init__(self) -> None:
        require(self.n_tokens > 0, "n_tokens", self.n_tokens, "at least one row")
        require(self.dtype in DTYPES, "dtype", self.dtype, f"one of {sorted(DTYPES)}")
        require(
            0 <= self.holdout_tokens <= self.n_tokens,
            "holdout_tokens",
            self.holdout_tokens,
            f"0 to n_tokens = {self.n_tokens}",
        )
        require(self.shard_rows > 0, "shard_rows", self.shard_rows, "at least one row")

    @property
    def holdout_stride(self) -> int:
        """Contexts 0, stride, 2·stride … go to the holdout; 0 when there is none."""
        return 1 + self.n_tokens // self.holdout_tokens if self.holdout_tokens else 0


def default_holdout_tokens(n_tokens: int) -> int:
    """A twentieth of the rows, 100,000 at most."""
    return min(n_tokens // 20, 100_000)


@dataclass(frozen=True, kw_only=True)
class HarvestPlan:
    """The cost of a harvest: what is still to be written and whether there is room for it. Sizes are in bytes."""

    path: Path
    hooks: tuple[str, ...]
    rows: int
    rows_done: int
    holdout_rows: int
    dtype: str
    bytes_to_write: int
    bytes_free: int
    bytes_memory: int
    tokens_per_second: float | None = None

    @property
    def seconds(self) -> float | None:
        """Time still needed, from `tokens_per_second`; None before it was measured."""
        share_done = self.rows_done / self.rows
        todo = (self.rows + self.holdout_rows) * (1 - share_done)
        return todo / self.tokens_per_second if self.tokens_per_second else None

    def require_room(self) -> None:
        """Raise `StoreError` unless the disk can take what is still to be written."""
        if self.bytes_to_write > self.bytes_free:
            raise StoreError(
                f"the disk at {self.path} has {format_bytes(self.bytes_free)} free, the harvest needs "
                f"{format_bytes(self.bytes_to_write)}: {self.rows:,} rows + {self.holdout_rows:,} held out, "
                f"{self.dtype}. Ask for fewer tokens, a 16-bit dtype, or another disk. Nothing was written."
            )

    def lines(self) -> list[str]:
        """The plan for a person to read, one fact a line."""
        done = f" ({self.rows_done:,} there already)" if self.rows_done else ""
        seconds = "measured on the first batches" if self.seconds is None else format_seconds(self.seconds)
        speed = f" ({self.tokens_per_second:,.0f} tokens/s)" if self.tokens_per_second else ""
        return [
            f"harvest  {', '.join(self.hooks)} -> {self.path}",
            f"rows     {self.rows:,}{done} + {self.holdout_rows:,} held out, {self.dtype}",
            f"disk     {format_bytes(self.bytes_to_write)} to write, {format_bytes(self.bytes_free)} free",
            f"memory   {format_bytes(self.bytes_memory)} for rows, in addition to the model",
            f"time     {seconds}{speed}",
        ]


def plan(
    request: HarvestRequest,
    specs: Mapping[str, SourceSpec],
    *,
    path: Path,
    bytes_free: int,
    rows_done: int = 0,
    tokens_per_second: float | None = None,
) -> HarvestPlan:
    """The cost of harvesting every hook of `specs` as `request` has it, `rows_done` rows being there already."""
    itemsize = DTYPES[request.dtype].itemsize
    row_bytes = sum(spec.d_in * itemsize + _TOKEN_BYTES for spec in specs.values())
    held_out = request.n_tokens // (request.holdout_stride - 1) if request.holdout_stride else 0
    todo = 1 - rows_done / request.n_tokens
    everything = request.n_tokens * row_bytes + held_out * (row_bytes + _CONTEXT_BYTES * len(specs))
    return HarvestPlan(
        path=path,
        hooks=tuple(specs),
        rows=request.n_tokens,
        rows_done=rows_done,
        holdout_rows=held_out,
        dtype=request.dtype,
        bytes_to_write=int(everything * todo) + _SLACK_BYTES * len(specs),
        bytes_free=bytes_free,
        bytes_memory=2 * min(request.shard_rows, request.n_tokens) * row_bytes,
        tokens_per_second=tokens_per_second,
    )


def format_bytes(count: int | float) -> str:
    """Bytes in powers of 1000, three figures: ``3.07 GB``."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = 0
    while count >= 1000 and power < len(units) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.3g} {units[power]}"


def format_seconds(seconds: int | float) -> str:
    """A duration for people: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
