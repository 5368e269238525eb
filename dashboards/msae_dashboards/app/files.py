"""The files that pages share, under names that change with their content, so that a browser keeps them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Response

from msae_dashboards.view import assets

FOLDER = Path(__file__).parent / "assets"
TYPES = {".js": "text/javascript", ".css": "text/css"}


class Files:
    """Their names are these alone; no part of a URL is a path."""

    def __init__(self) -> None:
        self._contents = {
            "msae.css": assets.style_sheet().encode(),
            "msae.js": assets.script().encode(),
            "plotly.js": assets.plotly_js(),
            **{path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES},
        }
        self._versions = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in self._contents.items()}

    def reference(self, name: str) -> str:
        """Where a file is, from where the pages begin."""
        return f"assets/{name}?v={self._versions[name]}"

    def answer(self, name: str) -> Response:
        """The file; 404 for any other name."""
        if name not in self._contents:
            return Response("There is no such file.", 404, mimetype="text/plain")
        response = Response(self._contents[name], mimetype=TYPES[Path(name).suffix])
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
