"""The public names of `msae` and `msae_dashboards`, grouped by the part of the package that holds them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

PARTS = {
    "data": "Text",
    "activations": "Activations",
    "sae": "The SAE",
    "training": "Training",
    "analysis": "Measuring",
    "studies": "Studies of runs",
    "core": "Shared",
}
"""Headings; a part that is not listed stands under its own name, at the end."""


def as_markdown(package: str) -> str:
    """A heading a part, and under it every public name with its docstring (written for mkdocstrings)."""
    module = importlib.import_module(package)
    homes: Mapping[str, str] = module._HOMES
    groups: dict[str, list[str]] = {}
    for name in module.__all__:
        home = homes.get(name, package)
        part = home.split(".")[1] if home.startswith(f"{package}.") and package == "msae" else ""
        groups.setdefault(part, []).append(name)
    parts = sorted(groups, key=lambda part: list(PARTS).index(part) if part in PARTS else len(PARTS))
    lines: list[str] = []
    for part in parts:
        if part:
            lines.append(f"## {PARTS.get(part, part)}\n")
        lines += [f"::: {package}.{name}\n" for name in groups[part]]
    return "\n".join(lines)
