"""Where a step's time goes: torch's profiler over the step's named parts.

Kernels and optimiser name their parts (`torch.profiler.record_function("msae::…")`), so any profiler tells them apart.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from experiments.lib.interleaved import Work

PARTS = {
    "msae::product": "the product, in blocks",
    "msae::select": "candidates picked, the exact ones chosen",
    "msae::decode": "decode, errors of every prefix, ∂L/∂f",
    "msae::gradients": "gradients of the weights",
    "msae::auxk": "AuxK",
    "msae::update": "projection, clipping, Adam, renormalising",
}
INSIDE = {"msae::select": "msae::product"}


def show_profile(step: Work, product: Work, title: str, rounds: int = 7) -> dict[str, Any]:
    """Print milliseconds a step of each part, and against the bare product measured in turn with the steps."""
    products, steps = [], []
    for i in range(3):
        step(i)
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for i in range(rounds):
            for run, seconds in ((product, products), (step, steps)):
                start = time.perf_counter()
                run(i)
                seconds.append(time.perf_counter() - start)
    total, bare = statistics.fmean(steps), statistics.fmean(products)
    spent = {event.key: event.cpu_time_total / 1e6 / rounds for event in recorded.key_averages()}
    parts = {name: spent[name] - spent.get(INSIDE.get(name, ""), 0.0) for name in PARTS if name in spent}
    parts["the rest"] = total - sum(parts.values())

    table = Table(title=f"Where the time goes: {title}")
    for heading in ("", "ms a step", "share", "x product"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, seconds in (*parts.items(), ("the step", total)):
        table.add_row(PARTS.get(name, name), f"{1e3 * seconds:.1f}", f"{seconds / total:.0%}", f"{seconds / bare:.3f}")
    Console(width=100).print(table)
    return {"step": title, "product_seconds": bare, "parts": parts, "seconds": total}
