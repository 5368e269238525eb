"""`LiveModel`: a run's own language model and SAE, opened when a page first wants them."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from msae.core.errors import EvaluationError, MsaeError
from msae.sae import SparseAutoencoder
from msae.training import Run

if TYPE_CHECKING:
    from msae.activations.transformer_lens import TransformerLensSource
    from msae.analysis.interventions.prompt import PromptReading

log = logging.getLogger(__name__)

LONGEST_TEXT = 4_000
HELD_READINGS = 16


class UnavailableModelError(MsaeError):
    """The run's model is not to be had: why, and what to do."""


@dataclass(frozen=True)
class Opened:
    """A model and the SAE that belongs to it, on the model's device. `lock`: hold it while the model runs."""

    source: TransformerLensSource
    sae: SparseAutoencoder
    hook_name: str
    lock: threading.Lock


class LiveModel:
    """The model that `run` was trained on, opened from where the run says it was, or from `model` if it has moved."""

    def __init__(self, run: Run, model: str | None = None) -> None:
        self._run, self._model = run, model
        self._opening = threading.Lock()
        self._found: Opened | UnavailableModelError | None = None
        self._read = lru_cache(maxsize=HELD_READINGS)(self._read_now)

    def opened(self) -> Opened:
        """The model, opened at the first call, which takes seconds; whoever else asks meanwhile waits for it.

        `UnavailableModelError` when it cannot be had.
        """
        with self._opening:
            if self._found is None:
                self._found = self._open()
        if isinstance(self._found, UnavailableModelError):
            raise self._found
        return self._found

    def read(self, text: str) -> PromptReading:
        """What the SAE makes of `text`. The last few are kept.

        `EvaluationError` for a text without a token, or of more than `LONGEST_TEXT` characters;
        `UnavailableModelError` as of `opened`.
        """
        if len(text) > LONGEST_TEXT:
            raise EvaluationError(f"the text has {len(text):,} characters: give at most {LONGEST_TEXT:,}")
        return self._read(text)

    def _read_now(self, text: str) -> PromptReading:
        from msae.analysis.interventions.prompt import read_prompt

        opened = self.opened()
        with opened.lock:
            return read_prompt(opened.source, opened.sae, text)

    def _open(self) -> Opened | UnavailableModelError:
        try:
            return self._opened_now()
        except MsaeError as error:
            return self._unavailable(str(error))
        except Exception as error:
            log.exception("the model of %s could not be opened", self._run.path)
            why = (str(error).splitlines() or [""])[0]
            return self._unavailable(f"{type(error).__name__}: {why}")

    def _opened_now(self) -> Opened:
        from msae.activations.reopen import reopen

        sae = self._run.load_sae()
        if sae.source is None:
            raise EvaluationError("the SAE does not say which model it was trained on")
        source = reopen(sae.source, model=self._model)
        return Opened(source, sae.to(source.device).eval(), sae.source.hook_name, threading.Lock())

    def _unavailable(self, why: str) -> UnavailableModelError:
        return UnavailableModelError(
            f"The model is not to be had: {why.rstrip('.')}. If it lies elsewhere, start again with its place:  "
            f"msae dashboard {self._run.path} --model PATH"
        )
