"""What is done to every answer before it is sent."""

from __future__ import annotations

import gzip
from functools import lru_cache

from flask import Response

TEXTS = ("text/", "application/json", "application/javascript")
LEAST, LARGE = 1_000, 100_000


def compressed(response: Response, accepted: str) -> Response:
    """Texts as gzip, where the browser takes that. Large files, which do not change, are compressed once."""
    if "gzip" not in accepted or response.status_code != 200 or response.headers.get("Content-Encoding"):
        return response
    if not (response.mimetype or "").startswith(TEXTS) or response.is_streamed or response.direct_passthrough:
        return response
    content = response.get_data()
    if len(content) < LEAST:
        return response
    response.set_data(_large(content) if len(content) >= LARGE else gzip.compress(content, 5, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    response.headers.add("Vary", "Accept-Encoding")
    return response


@lru_cache(maxsize=24)
def _large(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)
