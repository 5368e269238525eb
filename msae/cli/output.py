"""What a command prints: lines, and tables as wide as the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from msae.analysis.levels.level_table import LevelTable


def say(text: str) -> None:
    """A line."""
    print(text)


def show(*parts: RenderableType) -> None:
    """Tables and trees; 140 columns wide where the output is no terminal."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140)
    for part in parts:
        console.print(part)


def show_levels(table: LevelTable) -> None:
    """What each level is worth."""
    show(table.shown())
