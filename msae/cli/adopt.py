"""`msae adopt`: a run around an SAE that was not trained here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from msae.cli.output import say, show_levels


@dataclass(frozen=True, kw_only=True)
class Adopt:
    """Make a run around an SAE of SAELens, dictionary_learning, sparsify or Gemma Scope.

    eval, analyze, compare, dashboard and export-html then work as for a run of your own.
    """

    path: Positional[Path]
    """The SAE: a folder, or an ae_STEP.pt. Its format is recognised from its files; nothing is copied."""
    store: Path
    """Activations of the hook it was trained on (msae harvest makes them)."""
    out: Path
    """The run folder to make."""
    widths: tuple[int, ...] | None = None
    """Prefix widths, cumulative, ending at d_sae; by default those in the file."""
    tokens: int = 32_768
    """Tokens on which every level is measured."""
    force: bool = False
    """Continue although the file names another model or block than the store."""

    def run(self) -> None:
        """Do it."""
        from msae.studies.adopt import adopt

        run, table, notes = adopt(
            self.path, self.store, self.out, widths=self.widths, n_tokens=self.tokens, force=self.force
        )
        show_levels(table)
        for note in notes:
            say(note)
        say(f"{run.path} is a run now: msae eval, analyze, dashboard {run.path}")
