"""The browser that the dashboards are looked at and measured in."""

from __future__ import annotations

import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def installed_browser() -> str:
    """The path of an installed Chromium or Chrome. Ends the program where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        sys.exit(f"no browser: none of {', '.join(NAMES)} is installed (apt install chromium)")
    return path
