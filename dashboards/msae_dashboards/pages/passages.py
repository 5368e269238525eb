"""A row of a table of tokens in context, as a strip of them with the borders of what the model had read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msae_dashboards.view.nodes import TokenStrip

BORDERS = "┊: the model's context begins or ends here; it had read no text before"
"""What the sign is that a strip has where the model's context begins or ends."""


def strip_of(
    row: dict[str, Any], values: Sequence[float], largest: float, *, before: int | None = None, after: int | None = None
) -> TokenStrip:
    """The tokens around the row's own, at most `before` and `after` (None: all there are)."""
    here, texts = row["position"], row["context_tokens"]
    start = 0 if before is None else max(here - before, 0)
    stop = len(texts) if after is None else min(here + after + 1, len(texts))
    # Tables made before there were borders do not have these columns.
    opens = start == 0 and row.get("context_opens")
    closes = stop == len(texts) and row.get("context_closes")
    return TokenStrip(
        texts[start:stop],
        row["context_ids"][start:stop],
        values[start:stop],
        here - start,
        largest,
        cuts=(*([0] if opens else []), *([stop - start] if closes else [])),
    )
