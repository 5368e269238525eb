"""mkdocs hook: a line ``<!-- generated: what -->`` in a page becomes what the code says about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import commands
import declared_tables
import extension_lists
import public_names

from msae.analysis.levels.level_table import DEFINITIONS

MARKER = re.compile(r"^<!-- generated: (.+?) -->$", flags=re.MULTILINE)


def figures_of_a_level() -> str:
    """What `results/levels.json` holds of each level."""
    rows = [f"| `{name}` | {declared_tables.cell(meaning)} |" for name, meaning in DEFINITIONS.items()]
    return "\n".join(["| figure | meaning |", "|---|---|", *rows])


GENERATED: dict[str, Callable[[], str]] = {
    "tables": declared_tables.as_markdown,
    "figures of a level": figures_of_a_level,
    "lists": extension_lists.all_as_markdown,
    "commands": commands.as_markdown,
    "public names of msae": lambda: public_names.as_markdown("msae"),
    "public names of msae_dashboards": lambda: public_names.as_markdown("msae_dashboards"),
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in every marker; a marker that nothing answers stops the build."""
    return MARKER.sub(lambda found: GENERATED[found[1]](), markdown)
