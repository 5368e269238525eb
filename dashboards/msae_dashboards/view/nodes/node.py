"""A part of a page, and what one may hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias


class Node:
    """A part of a page."""

    __slots__ = ()


Content: TypeAlias = "str | int | Node | Sequence[Content] | None"
"""A part, a text, several of these, or nothing."""
