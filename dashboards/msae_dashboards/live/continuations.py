"""`Continuations`: what the model writes, token by token in the background, for as long as somebody waits for it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from msae.core.errors import MsaeError
from msae_dashboards.live.model import LiveModel
from msae_dashboards.live.worker import Urgency

HELD = 64
PATIENCE = 3.0
"""Seconds after which a text that nobody has looked for is left."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A continuation to write: of which text, how long, at which temperature; steered along `latent` (or not, if it is
    None) by `strength`, in units of its activation. The same request always gives the same tokens."""

    text: str
    n_tokens: int
    temperature: float = 0.0
    latent: int | None = None
    strength: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Written:
    """How far it is: the tokens so far, whether that is all, and what went wrong, if anything did."""

    token_ids: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    finished: bool = False
    refused: str = ""


@dataclass
class _Job:
    request: Request
    looked_for: float
    so_far: Written = field(default_factory=Written)
    tokens: Iterator[int] | None = None


class Continuations:
    """Writes what was looked for last, a token at a time, several texts in turn; and rests when nobody has looked for
    `PATIENCE` seconds, so that a slider that moves on leaves nothing running behind it. Finished texts are kept."""

    def __init__(self, live: LiveModel) -> None:
        self._live = live
        self._jobs: OrderedDict[Request, _Job] = OrderedDict()
        self._lock = threading.Lock()
        self.resting = threading.Event()
        self.resting.set()

    def written(self, *requests: Request) -> list[Written]:
        """How far each is. Look again until all are finished."""
        now = time.monotonic()
        with self._lock:
            for request in requests:
                job = self._jobs.setdefault(request, _Job(request, now))
                job.looked_for = now
                self._jobs.move_to_end(request)
            found = [self._jobs[request].so_far for request in requests]
            while len(self._jobs) > max(HELD, len(requests)):
                self._jobs.popitem(last=False)
            if self.resting.is_set() and not all(written.finished for written in found):
                self.resting.clear()
                self._go_on()
        return found

    def _go_on(self) -> None:
        try:
            self._live.worker.submit(self._one_more, Urgency.WRITE)
        except RuntimeError:  # the worker is closed
            self.resting.set()

    def _one_more(self) -> None:
        """Write a token of one text, and come again while there is a text to write."""
        with self._lock:
            job = self._next()
            if job is None:
                self.resting.set()
                return
        try:
            job.so_far = self._longer(job)
        except MsaeError as error:
            job.so_far = Written(finished=True, refused=str(error))
        except Exception as error:
            job.so_far = Written(finished=True, refused=f"{type(error).__name__}: {error}")
        self._go_on()

    def _next(self) -> _Job | None:
        """Of the texts looked for last the shortest: two that are looked for together grow together."""
        now = time.monotonic()
        waiting = [job for job in self._jobs.values() if not job.so_far.finished and now - job.looked_for < PATIENCE]
        if not waiting:
            return None
        last = max(job.looked_for for job in waiting)
        return min((job for job in waiting if job.looked_for == last), key=lambda job: len(job.so_far.token_ids))

    def _longer(self, job: _Job) -> Written:
        from msae.analysis.interventions.steering import along, continuation_of, tokens_after

        opened, request = self._live.opened(), job.request
        if job.tokens is None:
            replace = None
            if request.latent is not None:
                replace = {opened.hook_name: along(opened.sae, request.latent, request.strength)}
            job.tokens = tokens_after(opened.source, request.text, replace=replace, temperature=request.temperature)
        token = next(job.tokens, None)
        if token is None:
            return Written(token_ids=job.so_far.token_ids, texts=job.so_far.texts, finished=True)
        continuation = continuation_of(opened.source, [*job.so_far.token_ids, token])
        finished = len(continuation.token_ids) >= request.n_tokens
        return Written(token_ids=continuation.token_ids, texts=continuation.texts, finished=finished)
