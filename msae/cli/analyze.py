"""`msae analyze`: how features relate across the levels of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from msae.cli.output import say, show
from msae.cli.places import model_named


@dataclass(frozen=True, kw_only=True)
class Analyze:
    """Measure how features relate across the levels of a run: tree, splitting, absorption, each with its null model."""

    path: Positional[Path]
    """The run."""
    tokens: int = 1_000_000
    """Tokens to measure on, at most."""
    holdout: bool = False
    """Measure on the store's holdout (rows never trained on) however small it is. By default, if it is large enough."""
    trained_on: bool = False
    """Measure on the rows trained on, though the holdout is large enough."""
    leave_out_sinks: bool = False
    """Measure without the rows above 10 times the median norm; a run that was trained so is measured so anyway."""
    store: Path | None = None
    """The store, if it has moved; or another store of the same model and hook."""
    model: str | None = None
    """The model, if it has moved. It is needed for the text of tokens and the logits of latents."""
    concepts: Path | None = None
    """A Parquet table of your own labels: document, offset (or start and end), label, parent."""
    concept_tokens: int = 100_000
    """Tokens on which labelled concepts are probed, at most; 0 leaves them out."""
    device: str | None = None
    """cpu, cuda or mps. By default cpu."""
    force: bool = False
    """Continue although the store or the model is not the one recorded."""

    def run(self) -> None:
        """Do it."""
        from msae.studies.analyze_run import analyze_run
        from msae.training import Run

        model = None if self.model is None else str(model_named(self.model))
        run = Run.open(self.path)
        found = analyze_run(
            run,
            tokens=self.tokens,
            holdout=self.holdout,
            leave_out_sinks=self.leave_out_sinks,
            trained_on=self.trained_on,
            store=self.store,
            model=model,
            concepts=self.concepts,
            concept_tokens=self.concept_tokens,
            device=self.device,
            force=self.force,
        )
        show(*found.shown())
        say(f"Tables are in {run.results} (Parquet, columns documented): msae info {self.path} lists them.")
