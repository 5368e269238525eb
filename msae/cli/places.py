"""What a command's names stand for, and deleting what lies there."""

from __future__ import annotations

from pathlib import Path

DEMO = "demo"


def model_named(name: str) -> str | Path:
    """A hub name or a folder as it is; for ``demo``, where the model that ships with msae lies."""
    if name != DEMO:
        return name
    import msae.demo

    return msae.demo.model_path()


def delete_run(path: Path) -> None:
    """Delete a run, and nothing else."""
    from msae.training.run import remove_run

    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        remove_run(path)


def delete_store(path: Path) -> None:
    """Delete a store, finished or not, and nothing else."""
    from msae.activations.manifest import remove_store

    if path.exists():
        remove_store(path)
