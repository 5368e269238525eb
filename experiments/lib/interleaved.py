"""Timing several pieces of work in turn, again and again, so that their ratios hold on a machine that is busy.

What else runs on a machine slows down whatever is measured at that moment. Measured one after the other, two pieces of
work would meet different moments; measured in turn, A B A B …, they share them, and the median of the rounds' ratios is
what it would be on a quiet machine, or near it. Seconds are medians too, but of the machine as it was.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Work = Callable[[int], object]


def interleaved(
    work: Mapping[str, Work], rounds: int, *, warmup: int = 3, wait: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Seconds of each piece of work in each round. It is called with the round's number; `wait` ends what runs on."""
    for i in range(warmup):
        for run in work.values():
            run(i)
    wait()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for i in range(rounds):
        for name, run in work.items():
            start = time.perf_counter()
            run(i)
            wait()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: list[float], of: list[float]) -> dict[str, float]:
    """The median over the rounds of seconds / of, and its quartiles."""
    ratios = [a / b for a, b in zip(seconds, of, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return {"low": low, "median": middle, "high": high}
