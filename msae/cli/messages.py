"""Messages are written for Python; here they are said in the flags of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable

FLAGS = {
    "n_tokens": "--tokens",
    "text": "--text-field",
    "hook_names": "--hook",
    "hook_name": "--hook",
    "config": "--dataset-config",
    "wandb_project": "--wandb",
    "d_sae": "--widths",
    "l0": "--k",
}
"""Flags that are not called as the Python setting is."""

_SETTING = re.compile(r"\b([a-z][a-z0-9_]*)=('[^']*'|\.\.\.|\w+)")
_FIELD = re.compile(r"^([a-z][a-z0-9_]*) = ")


def in_flags(text: str, flags: Iterable[str]) -> str:
    """`text` with the settings it names, as ``force=True`` or ``errors='replace'``, as flags of a command that has the
    fields `flags`: ``--force``, ``--errors replace``. A field that the text begins with is one too."""
    known = set(flags)

    def flag(name: str) -> str | None:
        if name in FLAGS and _field(FLAGS[name]) in known:
            return FLAGS[name]
        return f"--{name.replace('_', '-')}" if name in known else None

    def said(found: re.Match[str]) -> str:
        name, value = flag(found[1]), found[2].strip("'")
        if name is None:
            return found[0]
        return name if value in ("True", "...") else f"{name} {value}"

    text = _SETTING.sub(said, text)
    field = _FIELD.match(text)
    if field and (name := flag(field[1])):
        return f"{name} {text[field.end() :]}"
    return text


def _field(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")
