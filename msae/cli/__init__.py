"""The command line: parses, calls, prints. Everything it does can be done from Python with the same names."""

from __future__ import annotations

from msae.cli.command import main

__all__ = ["main"]
