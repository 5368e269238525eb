"""The thread that does a model's work: the most urgent first, and an orderly end."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import pytest

from msae_dashboards.live.worker import Urgency, Worker


def test_reading_goes_before_writing_and_each_in_its_order() -> None:
    worker, gate, order = Worker(), threading.Event(), []
    started = threading.Event()
    first = worker.submit(lambda: started.set() or gate.wait(60), Urgency.WRITE)
    started.wait(60)
    for name, urgency in (("w1", Urgency.WRITE), ("w2", Urgency.WRITE), ("r1", Urgency.READ), ("r2", Urgency.READ)):
        last = worker.submit(lambda name=name: order.append(name), urgency)
    gate.set()
    assert first.result(60) is True
    last.result(60)
    worker.close()
    assert order[:2] == ["r1", "r2"] and order[2:] in (["w1", "w2"], ["w1"], [])


def test_an_error_belongs_to_whoever_waits() -> None:
    worker = Worker()
    future = worker.submit(lambda: 1 / 0, Urgency.READ)
    with pytest.raises(ZeroDivisionError):
        future.result(60)
    assert worker.submit(lambda: 3, Urgency.READ).result(60) == 3
    worker.close()


def test_what_waits_when_it_is_closed_is_dropped() -> None:
    worker, gate, started = Worker(), threading.Event(), threading.Event()
    worker.submit(lambda: started.set() or gate.wait(60), Urgency.READ)
    started.wait(60)
    waiting = worker.submit(lambda: None, Urgency.READ)
    closing = threading.Thread(target=worker.close)
    closing.start()
    gate.set()
    closing.join(60)
    with pytest.raises((CancelledError, AssertionError)):
        assert waiting.result(0) is not None
    with pytest.raises(RuntimeError):
        worker.submit(lambda: None, Urgency.READ)
