"""`msae info`: what a folder holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from msae.cli.output import say


@dataclass(frozen=True, kw_only=True)
class Info:
    """Describe a store, a saved SAE, a run, a nested code or an index, and list a run's files."""

    path: Positional[Path]
    """The folder."""
    verify: bool = False
    """Read every file of the store (of a run: of the store it was trained on) and compare its sum with the recorded."""

    def run(self) -> None:
        """Do it."""
        from msae.studies.info import describe, verify

        say(describe(self.path))
        if self.verify:
            say(verify(self.path))
