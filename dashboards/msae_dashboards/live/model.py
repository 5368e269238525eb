"""`LiveModel`: a run's own language model and SAE, opened when a page first wants them."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msae.core.errors import EvaluationError, MsaeError
from msae_dashboards.live.worker import Urgency, Worker

if TYPE_CHECKING:
    from msae.activations.transformer_lens import TransformerLensSource
    from msae.analysis.interventions.prompt import PromptReading
    from msae.sae import SparseAutoencoder

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_TOKENS, MOST_AT_EVERY_LEVEL = 1_000, 256
"""The longest text that is read, and the longest that is read at every level: the model runs once a level then."""
HELD_READINGS = 16
ENDING = "The server is ending."


class UnavailableModelError(MsaeError):
    """The run's model is not to be had: why, and what to do."""


@dataclass(frozen=True)
class Opened:
    """A model and the SAE that belongs to it, on the model's device."""

    source: TransformerLensSource
    sae: SparseAutoencoder
    hook_name: str


class LiveModel:
    """The model that the run in the folder `run` was trained on, opened from where the run says it was, or from `model`
    if it has moved.

    All that the model does, it does in `worker`.
    """

    def __init__(self, run: Path, model: str | None = None) -> None:
        self._run, self._model, self.worker = run, model, Worker()
        self._found: Opened | UnavailableModelError | None = None
        self._held: OrderedDict[str, PromptReading] = OrderedDict()
        self._held_levels: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()

    def read(self, text: str) -> PromptReading:
        """What the SAE makes of `text`; the first time the model is opened, which takes seconds. The last few readings
        are kept.

        `EvaluationError` for a text without a token, or of more than `MOST_TOKENS`;
        `UnavailableModelError` when the model is not to be had, or the server is ending.
        """
        return self._wait_for(lambda: self._read(text), Urgency.READ)

    def read_levels(self, text: str) -> list[dict[str, Any]]:
        """The text read at every level, as rows of table ``nest``; of one longer than `MOST_AT_EVERY_LEVEL` without
        what each level says next. Raises what `read` raises."""
        return self._wait_for(lambda: _kept(self._held_levels, text, self._read_levels), Urgency.WRITE)

    def _wait_for(self, work: Callable[[], T], urgency: Urgency) -> T:
        try:
            return self.worker.submit(work, urgency).result()
        except (RuntimeError, CancelledError) as error:
            raise UnavailableModelError(ENDING) from error

    def opened(self) -> Opened:
        """The model; for the worker's thread alone. `UnavailableModelError` when it is not to be had."""
        if self._found is None:
            self._found = self._open()
        if isinstance(self._found, UnavailableModelError):
            raise self._found
        return self._found

    def close(self) -> None:
        """Finish what is in hand and do no more."""
        self.worker.close()

    def _read(self, text: str) -> PromptReading:
        return _kept(self._held, text, self._read_now)

    def _read_levels(self, text: str) -> list[dict[str, Any]]:
        from msae.analysis.levels.nest import read_at_every_level
        from msae.analysis.sample import token_text

        opened, reading = self.opened(), self._read(text)
        lens = len(reading.token_ids) <= MOST_AT_EVERY_LEVEL
        read = self._guarded(lambda: read_at_every_level(opened.source, opened.sae, text, lens=lens, most=MOST_TOKENS))
        return read.rows(token_text(opened.source.tokenizer))

    def _read_now(self, text: str) -> PromptReading:
        from msae.analysis.interventions.prompt import read_prompt

        opened = self.opened()
        return self._guarded(lambda: read_prompt(opened.source, opened.sae, text, most=MOST_TOKENS))

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except MsaeError:
            raise
        except Exception as error:
            log.exception("the model of %s failed", self._run)
            raise EvaluationError(f"the model failed: {_first_line(error)}") from error

    def _open(self) -> Opened | UnavailableModelError:
        try:
            return self._opened_now()
        except MsaeError as error:
            return self._unavailable(str(error))
        except Exception as error:
            log.exception("the model of %s could not be opened", self._run)
            return self._unavailable(_first_line(error))

    def _opened_now(self) -> Opened:
        from msae.activations.reopen import reopen
        from msae.training import Run

        sae = Run.open(self._run).load_sae()
        if sae.source is None:
            raise EvaluationError("the SAE does not say which model it was trained on")
        source = reopen(sae.source, model=self._model)
        return Opened(source, sae.to(source.device).eval(), sae.source.hook_name)

    def _unavailable(self, why: str) -> UnavailableModelError:
        return UnavailableModelError(
            f"The model is not to be had: {why.rstrip('.')}. If it lies elsewhere, start again with its place:  "
            f"msae dashboard {self._run} --model PATH"
        )


def _kept(held: OrderedDict[str, T], text: str, make: Callable[[str], T]) -> T:
    """What was made of a text; the last few are kept."""
    if text not in held:
        held[text] = make(text)
    held.move_to_end(text)
    while len(held) > HELD_READINGS:
        held.popitem(last=False)
    return held[text]


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
