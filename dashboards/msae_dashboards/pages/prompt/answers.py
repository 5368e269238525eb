"""What the live prompt answers to a state of its page: what fires on the text, and what is written after it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from msae.core.errors import MsaeError
from msae_dashboards.data.feature_index import FeatureIndex
from msae_dashboards.data.tables import LEVELS, RunTables
from msae_dashboards.live import Continuations, LiveModel, Request
from msae_dashboards.live.firing import Firing
from msae_dashboards.pages.nest.shown import nest
from msae_dashboards.pages.nest.text import HINT, said
from msae_dashboards.pages.prompt import shown
from msae_dashboards.pages.prompt.state import PromptState
from msae_dashboards.view.figures import number
from msae_dashboards.view.nodes import Box, Content, Notice, Paragraph, Text


@dataclass(frozen=True)
class Reading:
    """What stands under the text, and what next to it."""

    left: Content
    right: Content = None


@dataclass(frozen=True)
class Writing:
    """Which latent is steered and how far, what has been written, and whether that is all."""

    head: Content
    written: Content = None
    finished: bool = True


def reading(tables: RunTables, live: LiveModel, query: dict[str, str]) -> Reading:
    """What fires on the text of a state."""
    try:
        features = tables.features()
        state = PromptState.of(query, features)
        if not state.text.strip():
            return Reading(Paragraph("Type a text to see what fires on its tokens.", "note"))
        read = live.read(state.text)
        firing = Firing(read, features.level)
        token, latent = _looked_at(state, firing)
        return Reading(
            [
                shown.tokens(read, firing, features, token, latent),
                shown.level_figures(read, firing, features, _recorded(tables, features.n_levels)),
            ],
            [
                shown.of_token(read, firing, features, token, latent, state.levels),
                shown.of_text(firing, features, latent, state.levels),
            ],
        )
    except MsaeError as error:
        return Reading(Notice(str(error), urgent=True))


def at_every_level(tables: RunTables, live: LiveModel, query: dict[str, str]) -> Content:
    """The text of a state, a lane a level."""
    try:
        state = PromptState.of(query, tables.features())
        if not state.text.strip():
            return None
        rows = live.read_levels(state.text)
        title = "At every level"
        return Box("prompt-nest-text", title, [said(rows), nest(tables, rows, None)], label=title, hint=HINT)
    except MsaeError:
        return None  # the reading says so


def writing(tables: RunTables, live: LiveModel, continuations: Continuations, query: dict[str, str]) -> Writing:
    """What is written after the text of a state, as far as it is. Nothing at strength 0."""
    try:
        features = tables.features()
        state = PromptState.of(query, features)
        if not state.text.strip():
            return Writing(None)
        _, latent = _looked_at(state, Firing(live.read(state.text), features.level))
        if latent is None:
            return Writing(Paragraph("Nothing fires on this token: choose a feature of another.", "note"))
        unit, name = _unit(features, latent)
        figure = Text(f"{state.strength:+g} × {name} = {number(state.strength * unit, 2)}", "value")
        head = Paragraph([shown.linked(features, latent), figure], "steered-by")
        if state.strength == 0:
            start = "Move the slider: the model continues the text, with the feature's direction added and without."
            return Writing(head, Paragraph(start, "note"))
        plain_request = Request(text=state.text, n_tokens=state.n_tokens, temperature=state.temperature)
        plain, steered = continuations.written(
            plain_request, replace(plain_request, latent=latent, strength=state.strength * unit)
        )
        finished = plain.finished and steered.finished
        return Writing(head, shown.continuations(plain, steered, state.n_tokens), finished)
    except MsaeError as error:
        return Writing(None, Notice(str(error), urgent=True))


def _looked_at(state: PromptState, firing: Firing) -> tuple[int, int | None]:
    """The token and the latent: those of the state, or the last token and what fires on it most."""
    token = firing.n_rows - 1 if state.token is None else min(state.token, firing.n_rows - 1)
    return token, firing.strongest(token, state.levels) if state.latent is None else state.latent


def _unit(features: FeatureIndex, latent: int) -> tuple[float, str]:
    """What the slider counts in, and what to call it."""
    if (most := float(features.max[latent])) > 0:
        return most, f"its largest activation ({number(most, 2)})"
    most = float(features.max.max(initial=0.0)) or 1.0
    return most, f"the largest activation of all, since it never fires itself ({number(most, 2)})"


def _recorded(tables: RunTables, n_levels: int) -> list[float]:
    """The FVU that was measured of every level; NaN where none was."""
    if tables.has(LEVELS):
        found = [row.fvu for row in tables.levels().levels]
        if len(found) == n_levels:
            return found
    return [float("nan")] * n_levels
