"""The help text of every `msae` command, as the command prints it."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from unittest.mock import patch

from msae.cli import command as line

WIDTH = 100


def as_markdown() -> str:
    """A section a command, with its help."""
    return "\n".join(f"## `msae {name}`\n\n```text\n{_help(name)}\n```\n" for name in line.COMMANDS)


def _help(name: str) -> str:
    printed = io.StringIO()
    environment = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    with (
        patch.dict(os.environ, environment),
        patch.object(sys, "argv", ["msae", name, "--help"]),
        contextlib.suppress(SystemExit),
        contextlib.redirect_stdout(printed),
    ):
        line.main()
    return "\n".join(row.rstrip() for row in printed.getvalue().strip().splitlines())
