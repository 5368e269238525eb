"""`Worker`: one thread for all of a model's work, the most urgent first.

A model run from several threads has a team of OpenMP threads for each, which wait for one another by spinning: with one
thread the same reading takes a fraction of the time. It also ends in order: a process that exits waits for the work in
hand alone.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from enum import IntEnum
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")


class Urgency(IntEnum):
    """What goes first."""

    READ = 0
    WRITE = 1


class Worker:
    """Does work one piece at a time: the most urgent first, in order of submission."""

    def __init__(self) -> None:
        # The pool's thread is waited for when the interpreter ends, and takes on nothing more then.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="msae-model")
        self._waiting: list[tuple[int, int, Callable[[], Any], Future[Any]]] = []
        self._numbers, self._lock = count(), threading.Lock()

    def submit(self, work: Callable[[], T], urgency: Urgency) -> Future[T]:
        """Have `work` done when nothing more urgent waits. `RuntimeError` once the worker is closed."""
        future: Future[T] = Future()
        with self._lock:
            heapq.heappush(self._waiting, (urgency, next(self._numbers), work, future))
        self._thread.submit(self._most_urgent)
        return future

    def close(self) -> None:
        """Finish what is in hand, drop the rest, and take on nothing more."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            dropped, self._waiting = self._waiting, []
        for *_, future in dropped:
            future.cancel()

    def _most_urgent(self) -> None:
        with self._lock:
            if not self._waiting:
                return
            *_, work, future = heapq.heappop(self._waiting)
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:  # whatever it is, it belongs to whoever waits for the result
            future.set_exception(error)
        else:
            future.set_result(result)
