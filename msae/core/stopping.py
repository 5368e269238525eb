"""Being stopped: SIGTERM, and Ctrl-C while something is better finished first."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class TerminatedError(KeyboardInterrupt):
    """The process got SIGTERM. A `KeyboardInterrupt`, so that all that cleans up after Ctrl-C does so here too."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Raise `TerminatedError` at SIGTERM, where the default is to end at once with nothing put in order."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise TerminatedError

    with _handled({signal.SIGTERM: terminate}):
        yield


class Stop:
    """Whether a stop was requested, and how."""

    requested: type[KeyboardInterrupt] | None = None


@contextlib.contextmanager
def stop_held_back() -> Iterator[Stop]:
    """Ctrl-C and SIGTERM set `requested`, for the body to stop at the next moment that suits it; the second Ctrl-C
    raises `KeyboardInterrupt` at once. Outside the main thread, where signals do not arrive, nothing changes."""
    stop = Stop()

    def hold(number: int, frame: FrameType | None) -> None:
        if stop.requested is not None:
            raise stop.requested
        stop.requested = TerminatedError if number == signal.SIGTERM else KeyboardInterrupt

    with _handled({signal.SIGINT: hold, signal.SIGTERM: hold}):
        yield stop


@contextlib.contextmanager
def _handled(handlers: dict) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
