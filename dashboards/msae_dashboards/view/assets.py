"""The style sheet and the script that every page has: in the app, in an export, in a notebook's cell."""

from __future__ import annotations

import base64
import gzip
import json
from functools import lru_cache
from pathlib import Path

import plotly
from plotly.utils import PlotlyJSONEncoder

from msae.plots.theme import template

FOLDER = Path(__file__).parent / "assets"
STYLES = ("panels.css", "across.css", "nest.css", "shell.css", "controls.css")
SCRIPTS = ("panels.js", "nest.js", "figures.js", "shell.js")


@lru_cache(maxsize=1)
def style_sheet() -> str:
    """The style sheet."""
    return "".join((FOLDER / name).read_text(encoding="utf-8") for name in STYLES)


@lru_cache(maxsize=1)
def script() -> str:
    """The script. The template that figures have in common is in it."""
    ours = "".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
    common = json.dumps(template(), cls=PlotlyJSONEncoder, separators=(",", ":")).replace("<", "\\u003c")
    return f"{ours}msae.template = {common};\n"


@lru_cache(maxsize=1)
def plotly_js() -> bytes:
    """plotly.js, from the plotly package."""
    return (Path(plotly.__file__).parent / "package_data" / "plotly.min.js").read_bytes()


@lru_cache(maxsize=1)
def packed_plotly() -> str:
    """plotly.js packed to less than half of its size, as base64; `figures.js` unpacks it in the browser."""
    return packed(plotly_js())


def packed(content: bytes) -> str:
    """Something compressed, as base64."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")
