"""`msae analyze`: how features relate across the levels of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from msae.cli.output import say, show
from msae.cli.places import model_named


@dataclass(frozen=True, kw_only=True)
class Analyze:
    """Measure how features relate across the levels of a run: tree, splitting, absorption, each beside its null."""

    path: Positional[Path]
    """The run."""
    tokens: int = 1_000_000
    """Tokens to measure on, at most."""
    holdout: bool = False
    """Measure on the store's holdout instead of the rows trained on."""
    store: Path | None = None
    """Where the store is, if it has moved, or another of the same model and hook."""
    model: str | None = None
    """Where the model is, if it has moved. It gives tokens their text and latents their logits."""
    concepts: Path | None = None
    """A Parquet table of your own labels: document, offset (or start and end), label, parent."""
    concept_tokens: int = 100_000
    """Tokens on which labelled concepts are probed, at most; 0 leaves them out."""
    device: str | None = None
    """cpu, cuda, mps."""
    force: bool = False
    """Go on when the store or the model is not the one recorded."""

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
            store=self.store,
            model=model,
            concepts=self.concepts,
            concept_tokens=self.concept_tokens,
            device=self.device,
            force=self.force,
        )
        show(*found.shown())
        say(f"Tables are in {run.results} (Parquet, columns documented): msae info {self.path} lists them.")
