"""`Continuations`: what the model writes, token by token in the background, for as long as somebody asks for it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from msae.core.errors import MsaeError
from msae_dashboards.live.model import Opened

HELD = 64
PATIENCE = 3.0


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A continuation to write: of which text, how long, at which temperature; steered along `latent` (or not, if it is
    None) by `strength`, in units of its activation. The same wish always gives the same tokens."""

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
    wish: Wish
    asked: float
    so_far: Written = field(default_factory=Written)
    tokens: Iterator[int] | None = None


class Continuations:
    """One thread writes what was asked for last, a token at a time, and rests when nobody has asked for `PATIENCE`
    seconds; so a slider that moves on leaves nothing running behind it. Finished ones are kept."""

    def __init__(self, model: Callable[[], Opened]) -> None:
        self._model = model
        self._jobs: OrderedDict[Wish, _Job] = OrderedDict()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def written(self, *wishes: Wish) -> list[Written]:
        """How far each wish is. Ask again until all are finished; the first is written first."""
        now = time.monotonic()
        with self._lock:
            for wish in wishes:
                job = self._jobs.setdefault(wish, _Job(wish, now))
                job.asked = now
                self._jobs.move_to_end(wish)
            found = [self._jobs[wish].so_far for wish in wishes]
            while len(self._jobs) > max(HELD, len(wishes)):
                self._jobs.popitem(last=False)
            if self._thread is None and not all(written.finished for written in found):
                self._thread = threading.Thread(target=self._write, name="msae-continuations", daemon=True)
                self._thread.start()
        return found

    def _write(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.so_far = self._one_more(job)
            except MsaeError as error:
                job.so_far = Written(finished=True, refused=str(error))
            except Exception as error:
                job.so_far = Written(finished=True, refused=f"{type(error).__name__}: {error}")

    def _next(self) -> _Job | None:
        """What to go on with; None when there is nothing, and then the thread is over."""
        with self._lock:
            now = time.monotonic()
            waiting = [job for job in self._jobs.values() if not job.so_far.finished and now - job.asked < PATIENCE]
            if not waiting:
                self._thread = None
                return None
            return max(waiting, key=lambda job: job.asked)

    def _one_more(self, job: _Job) -> Written:
        from msae.analysis.interventions.steering import along, continuation_of, tokens_after

        opened, wish = self._model(), job.wish
        with opened.lock:
            if job.tokens is None:
                replace = None
                if wish.latent is not None:
                    replace = {opened.hook_name: along(opened.sae, wish.latent, wish.strength)}
                job.tokens = tokens_after(opened.source, wish.text, replace=replace, temperature=wish.temperature)
            token = next(job.tokens, None)
        if token is None:
            return Written(token_ids=job.so_far.token_ids, texts=job.so_far.texts, finished=True)
        continuation = continuation_of(opened.source, [*job.so_far.token_ids, token])
        finished = len(continuation.token_ids) >= wish.n_tokens
        return Written(token_ids=continuation.token_ids, texts=continuation.texts, finished=finished)
