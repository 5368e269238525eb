"""Where a model's files are: a folder on this machine, or the cache of a hub."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from msae.core.errors import SourceError


def local_folder(model: str | Path) -> Path | None:
    """The folder `model` names, or None when it is a hub name.

    Raises `SourceError` when it can only be a folder and none is there, or when the folder holds no model.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            held = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
            raise SourceError(
                f"{folder} holds no config.json, so no model saved by transformers (model.save_pretrained); "
                f"it holds {held}"
            )
        return folder.resolve()
    text = str(model)
    if isinstance(model, Path) or text.startswith((".", "~", "/")) or text.count("/") > 1 or folder.exists():
        raise SourceError(f"there is no folder {folder} (looked from {Path.cwd()}): give a saved model or a hub name")
    return None


def folder_of(name: str) -> Path | None:
    """The folder of a model already opened under `name`, if it was opened from one that is still there."""
    folder = Path(name).expanduser()
    return folder.resolve() if (folder / "config.json").is_file() else None


@contextlib.contextmanager
def quietly_loading() -> Iterator[None]:
    """transformers shows a bar for loading weights, in our name and over our own output."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def cached_commit(name: str, revision: str | None) -> str | None:
    """The commit that `revision` (a branch, a tag or a commit; the main branch by default) is in the hub's cache."""
    folder = cached_folder(name, revision)
    return folder.name if folder else None


def cached_folder(name: str, revision: str | None) -> Path | None:
    """Where the files of a hub model lie in the hub's cache, if they do."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, "config.json", revision=revision or None)
    except HFValidationError:
        return None
    return Path(config).parent if isinstance(config, str) else None
