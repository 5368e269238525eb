"""References that hold wherever the pages are served."""

from __future__ import annotations


def relative(root: str, href: str) -> str:
    """An address as a reference from a page `root` (``../``) below where the pages begin: it holds behind any proxy."""
    return root + href.removeprefix("/") or "./"
