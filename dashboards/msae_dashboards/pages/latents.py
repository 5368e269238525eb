"""What the panels about latents share."""

from __future__ import annotations

from msae.core.errors import MsaeError
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.panel import Visit
from msae_dashboards.view.nodes import Content, FeatureLink, Stack


class UnknownLatentError(MsaeError):
    """The address names a latent that the dictionary does not have, or none."""


def latent_of(visit: Visit) -> int:
    """The latent an address names; `UnknownLatentError` when the run has no such latent."""
    n, latent = len(visit.tables.features()), visit.address.latent
    if latent is None or not 0 <= latent < n:
        raise UnknownLatentError(f"there is no latent {latent}: the run's are numbered 0 to {n - 1:,}")
    return latent


def linked(tables: RunTables, latent: int, *, href: str = "") -> FeatureLink:
    """A latent to click, with its level and top tokens. `href`: to elsewhere than its page."""
    features = tables.features()
    return FeatureLink(latent, int(features.level[latent]), features.top_tokens[latent], href)


def introduced(tables: RunTables, latent: int) -> Content:
    """A latent to click, and its explanation."""
    explanation = tables.features().explanation[latent]
    return Stack([linked(tables, latent), Stack(explanation, "explained") if explanation else None])


def kept_level(visit: Visit) -> int | None:
    """The level that an address keeps to, if the run has it."""
    level = visit.address.whole("level")
    return level if level is not None and level < visit.tables.features().n_levels else None
