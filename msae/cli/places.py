"""What a command's names stand for."""

from __future__ import annotations

from pathlib import Path

DEMO = "demo"


def model_named(name: str) -> str | Path:
    """A hub name or a folder as it is; for ``demo``, where the model that ships with msae lies."""
    if name != DEMO:
        return name
    import msae.demo

    return msae.demo.model_path()
