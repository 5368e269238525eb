"""`msae eval`: what each level of a run is worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional

from msae.cli.output import say, show_levels
from msae.cli.places import model_named
from msae.cli.text import Text


@dataclass(frozen=True, kw_only=True)
class Eval:
    """Measure what each level of a run is worth: FVU, L0, CE recovered, KL, dead, dense, bits."""

    path: Positional[Path]
    """The run."""
    source: Annotated[Text, OmitArgPrefixes] = field(default_factory=Text)
    tokens: int = 32_768
    """Tokens to measure on."""
    model: str | None = None
    """The model, if it has moved."""
    store: Path | None = None
    """The store, if it has moved."""
    device: str | None = None
    """cpu, cuda or mps; by default a GPU where there is one."""
    force: bool = False
    """Continue although the model is not the one recorded."""

    def run(self) -> None:
        """Do it."""
        from msae.studies.evaluate_run import evaluate_run
        from msae.training import Run

        model = None if self.model is None else str(model_named(self.model))
        run, documents = Run.open(self.path), self.source.documents()
        table = evaluate_run(
            run, documents, n_tokens=self.tokens, model=model, store=self.store, device=self.device, force=self.force
        )
        show_levels(table)
        if not run.is_finished:
            say("The run is unfinished: this is the state that was last kept, as if training ended there. Not written.")
            return
        say(f"Written to {run.folder.levels}, plotted in {run.folder.levels_figure}.")
