"""plotly.js from the plotly package, packed to less than half of its size; `draw.js` unpacks it in the browser."""

from __future__ import annotations

import base64
import gzip
from functools import lru_cache
from pathlib import Path

import plotly


@lru_cache(maxsize=1)
def packed_plotly() -> str:
    """The script, compressed, as base64."""
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return base64.b64encode(gzip.compress(script.read_bytes(), mtime=0)).decode("ascii")
