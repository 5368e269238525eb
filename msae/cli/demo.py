"""`msae demo`: the whole path, on the model that ships with msae."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msae.cli.output import say, show, show_levels


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Train, evaluate and analyze a Matryoshka SAE on the language model that ships with msae. No download."""

    out: Path = Path("runs/demo")
    """The run folder."""
    store: Path = Path("acts/demo")
    """The activation store."""
    replace: bool = False
    """Replace what is at --out and --store, each once the new one is finished."""
    layer: int = 3
    """The residual stream after this block, counted from 0."""
    widths: tuple[int, ...] = (64, 256, 1024)
    """Prefix widths, cumulative."""
    k: int = 12
    """Mean number of latents per token."""
    harvest_tokens: int = 500_000
    """Tokens in the store."""
    train_tokens: int = 3_000_000
    """Tokens to train on: several passes over the store."""
    eval_tokens: int = 32_768
    """Held-out tokens on which each level is measured."""
    seed: int = 0
    """Seed of every random draw."""

    def run(self) -> None:
        """Do it."""
        from msae.studies.analyze_run import analyze_run
        from msae.studies.demo import DemoSettings, run_demo

        names = ("layer", "widths", "k", "harvest_tokens", "train_tokens", "eval_tokens", "seed")
        settings = DemoSettings(**{name: getattr(self, name) for name in names})
        run, table = run_demo(settings, self.out, self.store, replace=self.replace)
        show_levels(table)
        show(*analyze_run(run).shown())
        say(f"The run is in {run.path}: the SAE in sae/ (SAELens opens it), figures, tables and plots in results/.")
        say(f"Next:  msae train --independent {run.path}    (plain SAEs to compare it with), then msae analyze")
        say(f"       msae info {run.path}    (all files, and what each holds)")
        say("       msae harvest --help    (for a model of your own)")
        say(f"       msae dashboard {run.path}    (its features, tree, splitting and absorption, in a browser)")
