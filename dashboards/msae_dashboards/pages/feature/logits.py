"""The tokens a latent's direction speaks for and against."""

from __future__ import annotations

from typing import Any, Literal

from msae_dashboards.pages.latents import latent_of
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number
from msae_dashboards.view.nodes import Content, Heading, LogitList, Stack


def render(visit: Visit) -> Content:
    """Two lists: negative logits, positive logits, the strongest first."""
    rows = visit.tables.rows("logits", latent_of(visit))
    largest = max((abs(row["logit"]) for row in rows), default=0.0)
    negative = _side([row for row in rows if row["side"] == "bottom"], "Negative logits", "negative", largest)
    positive = _side([row for row in rows if row["side"] == "top"], "Positive logits", "positive", largest)
    return Stack([negative, positive], "logit-lists")


def _side(rows: list[dict[str, Any]], title: str, side: Literal["positive", "negative"], largest: float) -> Content:
    entries = [
        (row["token"], row["token_id"], number(row["logit"], 2), abs(row["logit"]) / largest if largest else 0.0)
        for row in rows
    ]
    return Stack([Heading(title), LogitList(side, entries)])


PANEL = Panel(
    name="logits",
    title="Logits",
    about="latent",
    needs=("features", "logits"),
    render=render,
    optional=("logits",),
    hint="The decoder direction through the final norm's gain and the unembedding, the mean removed",
)
