"""`msae compare`: a run compared with others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from msae.cli.output import say, show


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Compare a run with others on the same tokens: figures, and which latents are found in both."""

    path: Positional[Path]
    """The run."""
    others: Positional[tuple[Path, ...]] = ()
    """Runs, saved SAEs or folders of runs; by default the run's independent baselines."""
    name: str | None = None
    """Name of the comparison; by default the names of the others."""
    tokens: int = 65_536
    """Tokens on which latents are matched, at most."""
    eval_tokens: int = 8_192
    """Tokens on which each level is measured."""
    store: Path | None = None
    """The store to compare on; by default the one the run was trained on."""
    ce: bool = True
    """Measure cross-entropy. It needs the model."""
    force: bool = False
    """Continue although an SAE and the store do not belong together."""

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
