"""What a person sees of a harvest: its plan, its speed, the time left and a report, on standard error."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from msae.activations.plan import HarvestPlan
from msae.activations.shards import DTYPES
from msae.activations.store import ActivationStore

_WARM_UP_BATCHES = 1
_MEASURED_BATCHES = 3


@contextlib.contextmanager
def display(the_plan: HarvestPlan, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """Print the plan and show a bar on standard error; yields a function that takes the rows of each batch."""
    console = Console(stderr=True, quiet=not shown)
    for line in the_plan.lines():
        console.print(line, highlight=False, markup=False)
    columns = (
        TextColumn("harvest"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not shown) as bars:
        share_done = the_plan.rows_done / the_plan.rows
        total = the_plan.rows + the_plan.holdout_rows
        bar = bars.add_task("harvest", total=total, completed=int(total * share_done), speed="")
        clock = _Clock()

        def advance(rows: int) -> None:
            speed = clock.tick(rows)
            bars.update(bar, advance=rows, speed=f"{speed:,.0f} tokens/s" if speed else "")
            if clock.batches == _WARM_UP_BATCHES + _MEASURED_BATCHES:
                console.print(replace(the_plan, tokens_per_second=speed).lines()[-1], highlight=False, markup=False)

        yield advance


def report(stores: Mapping[str, ActivationStore], *, shown: bool) -> None:
    """What a reader of figures must know of finished stores: printed (with `shown`), and warned of where it matters."""
    console = Console(stderr=True, quiet=not shown)
    for hook, store in stores.items():
        norms, rounding = store.norm_summary, store.manifest.rounding or 0.0
        console.print(f"norms    {hook}: {norms.line(store.n_rows)}", highlight=False, markup=False)
        if norms.sinks_rule:
            warnings.warn(
                f"{store.path}: norms of rows at {hook}: {norms.line(store.n_rows)}. Scale, variance and FVU over all "
                "rows are ruled by these: read the figures on ordinary rows, or train without these rows "
                "(--leave-out-sinks, or store.ordinary() in Python).",
                stacklevel=4,
            )
        if rounding > torch.finfo(DTYPES[store.dtype]).eps ** 2:
            warnings.warn(
                f"{store.path}: {store.dtype} is too coarse for activations this small (median norm "
                f"{norms.median:.3g}): rounding lost {rounding:.2%} of E||x||^2. Harvest with dtype='bfloat16' or "
                "'float32'.",
                stacklevel=4,
            )


class _Clock:
    """Rows a second since the batches that warm the model up."""

    def __init__(self) -> None:
        self.batches = 0
        self._rows = 0
        self._since = 0.0

    def tick(self, rows: int) -> float | None:
        self.batches += 1
        if self.batches <= _WARM_UP_BATCHES:
            self._since = time.perf_counter()
            return None
        self._rows += rows
        return self._rows / max(1e-9, time.perf_counter() - self._since)
