"""A latent's page: three columns, as the field knows them."""

from __future__ import annotations

from collections.abc import Sequence

from msae_dashboards.address import feature_href, features_href, prompt_href, random_href
from msae_dashboards.data.filter import Filter, filter_keys
from msae_dashboards.pages.feature import (
    activation_histogram,
    cofiring,
    examples,
    family,
    logit_histogram,
    logits,
    neighbours,
    summary,
)
from msae_dashboards.pages.latents import latent_of
from msae_dashboards.pages.navigation import level_choices, previous_next, tabs
from msae_dashboards.pages.page import Page
from msae_dashboards.pages.panel import Visit
from msae_dashboards.view.nodes import Body, Content, Link, Moves, Notice, Random, Stack, Text

LEFT = (family.PANEL, logits.PANEL, neighbours.PANEL, cofiring.PANEL)
MIDDLE = (summary.PANEL, activation_histogram.PANEL, logit_histogram.PANEL)
RIGHT = (examples.PANEL,)
SIDES = (("left", LEFT), ("middle", MIDDLE), ("right", RIGHT))
SILENT = (logits.PANEL, neighbours.PANEL)
"""What says something of a latent that never fires."""


def body(visit: Visit) -> Body:
    """The head with links to other latents, and the columns. The query keeps to some latents, as in the browser."""
    latent = latent_of(visit)
    head = _among_all(visit, latent) if visit.among is None else _among_these(visit, latent, visit.among)
    return Body(f"Feature {latent}", columns(visit), head=head)


def columns(visit: Visit) -> Content:
    """Everything below the head; of a latent that never fires, what there is without an activation."""
    shown: dict[str, Content]
    if visit.tables.features().alive[latent_of(visit)]:
        shown = {side: visit.show(*panels) for side, panels in SIDES}
    else:
        silent = Notice("This feature never fires on the sample: there are no activations of it to show.")
        shown = {"left": visit.show(*SILENT), "middle": visit.show(summary.PANEL), "right": silent}
    return Stack([Stack(parts, f"column {side}") for side, parts in shown.items()], "feature")


def _among_all(visit: Visit, latent: int) -> Content:
    """Links through the latents that the query lets through, in its order: a filter of the feature browser."""
    features, query = visit.tables.features(), filter_keys(visit.address.query)
    near = features.around(latent, Filter.of(query))
    moves = previous_next(*(None if other is None else feature_href(other, **query) for other in near))
    levels = Filter.of(query).levels
    choices = level_choices(
        range(features.n_levels),
        levels[0] if len(levels) == 1 else None,
        lambda level: feature_href(latent, **{**query, "level": level}),
        label="Levels that previous and next go through",
    )
    more = {key: value for key, value in query.items() if key != "level"}
    back = Link("back to the grid", features_href(**query), "move") if more else None
    return [
        Moves([*moves, Random(href=random_href(**query))], "Other features"),
        tabs(visit.tables, latent, "feature"),
        choices,
        back,
        Link("try it on a text", prompt_href(latent=str(latent)), "move try"),
    ]


def _among_these(visit: Visit, latent: int, among: Sequence[int]) -> Content:
    """Links through those latents alone whose pages are to be had."""
    place = list(among).index(latent)
    before, after = among[place - 1 : place] if place else (), among[place + 1 : place + 2]
    moves = previous_next(*(feature_href(other[0]) if other else None for other in (before, after)))
    anywhere = Random(among=[feature_href(other) for other in among if other != latent])
    count = Text(f"{place + 1:,} of {len(among):,} exported", "count")
    return [Moves([*moves, anywhere], "Other features"), tabs(visit.tables, latent, "feature"), count]


PAGE = Page(name="feature", title="Feature", panels=(*LEFT, *MIDDLE, *RIGHT), body=body, listed=False)
