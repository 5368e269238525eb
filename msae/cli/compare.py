"""`msae compare`: a run beside others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from msae.cli.output import say, show


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Measure a run beside others on the same tokens: figures, and which latents of one are which of another."""

    path: Positional[Path]
    """The run."""
    others: Positional[tuple[Path, ...]] = ()
    """Runs, saved SAEs or folders of runs; by default the run's independent baselines."""
    name: str | None = None
    """What to call the comparison; by default as the others are called."""
    tokens: int = 65_536
    """Tokens latents are matched on, at most."""
    eval_tokens: int = 8_192
    """Tokens each level is measured on."""
    store: Path | None = None
    """The store to compare on; by default the one the run was trained on."""
    ce: bool = True
    """Measure cross-entropies, which needs the model."""
    force: bool = False
    """Go on when an SAE and the store do not belong together."""

    def run(self) -> None:
        """Do it."""
        from msae.studies.compare_run import compare_with
        from msae.training import Run

        found, folder = compare_with(
            Run.open(self.path),
            self.others,
            name=self.name,
            store=self.store,
            ce=self.ce,
            n_tokens=self.tokens,
            eval_tokens=self.eval_tokens,
            force=self.force,
        )
        show(found)
        say(f"Tables are in {folder}; msae dashboard {self.path} shows them.")
