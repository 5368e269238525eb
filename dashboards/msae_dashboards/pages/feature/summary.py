"""The head of a latent's page: its level, how often it fires, its explanation."""

from __future__ import annotations

from msae_dashboards.address import features_href
from msae_dashboards.data.tables import EXPLANATIONS, RunTables
from msae_dashboards.pages.latents import latent_of
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.figures import number, share
from msae_dashboards.view.nodes import (
    Content,
    Figures,
    LevelChip,
    Paragraph,
    Quotation,
    Strong,
    Text,
    TokenChip,
    Tokens,
)


def render(visit: Visit) -> Content:
    """Level chip, density, explanation with its scores, the tokens it fires on most, recorded statistics."""
    latent, features = latent_of(visit), visit.tables.features()
    level = int(features.level[latent])
    chip = LevelChip(level, features_href(level=str(level)), f"all latents of level {level}")
    density = Text(["Activations density ", Strong(share(float(features.density[latent])))], "density")
    tokens = zip(features.top_tokens[latent], features.top_shares[latent], strict=False)
    chips = [TokenChip(token, f"{share(part, 1)} of its summed activation") for token, part in tokens]
    return [
        Paragraph([chip, density]),
        _explanation(visit.tables, latent),
        Tokens(chips, wrapped=True),
        _statistics(visit.tables, latent),
    ]


def _explanation(tables: RunTables, latent: int) -> Quotation | None:
    if not tables.has(EXPLANATIONS):
        return None
    rows = tables.rows(EXPLANATIONS, latent)
    if not rows or not rows[0]["explanation"]:
        return None
    row = rows[0]
    scores = f"precision {number(row['precision'], 2)}, recall {number(row['recall'], 2)} on held-out tokens"
    return Quotation(row["explanation"], scores)


def _statistics(tables: RunTables, latent: int) -> Figures:
    row = tables.rows("features", latent)[0]
    values = [("fires on", f"{row['n_tokens']:,} tokens"), ("status", row["status"])]
    values += [(name, number(row[column], 2)) for name, column in (("max", "max"), ("mean", "mean"))]
    values += [(name, number(row[column], 2)) for name, column in (("p10", "p10"), ("median", "p50"), ("p90", "p90"))]
    return Figures([(name, value, "") for name, value in values])


PANEL = Panel(name="summary", title="", about="latent", needs=("features",), render=render)
