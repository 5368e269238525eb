"""All latents whose pages are to be had, as a table. In the app a grid takes its place (`app/grid.py`)."""

from __future__ import annotations

from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number, share
from msae_dashboards.view.nodes import Content, FeatureLink, Index, IndexRow, LevelChip, Stack, TokenChip, Tokens

SHOWN_TOKENS = 6


def render(visit: Visit) -> Content:
    """One row a latent, in the order given. Cells carry their value where the text does not sort."""
    features = visit.tables.features()
    columns = ["Feature", "Level", "Top tokens", "Density", "Tokens", "Max", "Mean"]
    if features.has_explanations:
        columns[3:3] = ["Explanation", "F1"]
    among = range(len(features)) if visit.among is None else visit.among
    return Index(columns, [_row(visit, latent, columns) for latent in among])


def _row(visit: Visit, latent: int, columns: list[str]) -> IndexRow:
    features = visit.tables.features()
    record = features.record(latent)
    tokens = Tokens([TokenChip(token) for token in record["top_tokens"][:SHOWN_TOKENS]])
    cells: dict[str, tuple[Content, float | int | None]] = {
        "Feature": (FeatureLink(latent), latent),
        "Level": (LevelChip(record["level"]), record["level"]),
        "Top tokens": (tokens, None),
        "Explanation": (Stack(record["explanation"]), None),
        "F1": (number(record["f1"], 2), record["f1"]),
        "Density": (share(features.density[latent]), record["density"]),
        "Tokens": (f"{record['n_tokens']:,}", record["n_tokens"]),
        "Max": (number(record["max"], 2), record["max"]),
        "Mean": (number(record["mean"], 2), record["mean"]),
    }
    return IndexRow(latent, record["level"], [cells[name] for name in columns])


PANEL = Panel(name="features-index", title="", about="run", needs=("features",), render=render)
