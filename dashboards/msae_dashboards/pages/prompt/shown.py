"""How a text that was read is shown: its tokens, the latents on one of them and on all, what each level leaves over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msae_dashboards.address import features_href
from msae_dashboards.data.feature_index import FeatureIndex
from msae_dashboards.live.continuations import Written
from msae_dashboards.live.firing import Firing
from msae_dashboards.view.controls import PickList, PickRow, PickToken, Progress, TokenStep, WrittenText
from msae_dashboards.view.figures import number
from msae_dashboards.view.nodes import (
    Box,
    Content,
    FeatureLink,
    Head,
    Heading,
    LevelChip,
    Notice,
    Paragraph,
    Shade,
    Stack,
    Table,
    Text,
    TokenChip,
    TokenStrip,
)

if TYPE_CHECKING:
    from msae.analysis.interventions.prompt import PromptReading

SHOWN = 10
LEVEL_COLUMNS = (
    Head("level", "0 is the smallest, outermost prefix of the latents"),
    Head("width", "latents in the prefix: this level's and those of all levels before it"),
    Head("L0 here", "mean number of the prefix's latents that fire on a token of this text"),
    Head("FVU here", "share of the variance of this text's activations, around their own mean, that is left over"),
    Head("FVU of the run", "the same on the holdout that the run was judged on"),
)


def tokens(reading: PromptReading, firing: Firing, features: FeatureIndex, token: int, latent: int | None) -> Box:
    """The text, coloured by the activation of `latent` relative to its largest of all; a click chooses a token."""
    values = [0.0] * firing.n_rows if latent is None else firing.on(latent).tolist()
    most = 0.0 if latent is None else float(features.max[latent])
    strip = TokenStrip(
        reading.texts,
        reading.token_ids.tolist(),
        values,
        token,
        most or max(values),
        line_breaks=True,
        specials=reading.specials,
        cuts=reading.context_starts,
    )
    nothing = "Nothing fires on this token."
    key: Content = nothing if latent is None else ["Colour: activation of ", linked(features, latent)]
    title = f"{firing.n_rows:,} tokens"
    return Box(
        "prompt-tokens",
        title,
        [PickToken(strip, "Tokens of the text: arrow keys choose one"), Paragraph(key, "note chosen")],
        label=title,
        hint="Click a token for the features that fire on it; hover for its activation and id",
    )


def level_figures(reading: PromptReading, firing: Firing, features: FeatureIndex, recorded: Sequence[float]) -> Box:
    """L0 and FVU of every level on this text, next to the FVU recorded of the run."""
    widths = [int((features.level <= level).sum()) for level in range(features.n_levels)]
    rows: list[list[Content]] = [
        [
            LevelChip(level, features_href(level=str(level)), f"all latents of level {level}"),
            f"{width:,}",
            number(firing.l0(width), 2),
            number(of_text, 3),
            number(of_run, 3),
        ]
        for level, (width, of_text, of_run) in enumerate(zip(widths, reading.fvu, recorded, strict=True))
    ]
    table = Table("Figures of every level on this text", LEVEL_COLUMNS, rows)
    title = "What each level leaves over"
    return Box("prompt-levels-table", title, table, label=title)


def of_token(
    reading: PromptReading,
    firing: Firing,
    features: FeatureIndex,
    token: int,
    latent: int | None,
    levels: Sequence[int],
) -> Box:
    """The latents that fire on a token, a list a level."""
    lists = []
    for level in levels:
        found = firing.at(token, level)
        rows = [
            _row(features, other, value, value, _relative(features, other, value), latent) for other, value in found
        ]
        lists.append(_list(level, f"{len(found)} fire", rows))
    steps = [
        TokenStep("← token", "previous", token - 1 if token > 0 else None),
        TokenStep("token →", "next", token + 1 if token + 1 < firing.n_rows else None),
    ]
    word = TokenChip(reading.texts[token], f"id {int(reading.token_ids[token])}")
    return Box(
        "prompt-token",
        [f"Token {token:,}: ", word],
        [Stack(steps, "moves"), Stack(lists, "per-level")],
        label=f"Token {token:,}",
        hint="The strongest first. Hover an activation to see how it compares with the feature's largest",
    )


def of_text(firing: Firing, features: FeatureIndex, latent: int | None, levels: Sequence[int]) -> Box:
    """The latents of the whole text, a list a level, the largest sum of activations first."""
    lists = []
    for level in levels:
        found = firing.of_level(level)
        rows = [
            _row(
                features,
                fired.latent,
                fired.largest,
                fired.total,
                f"on {fired.n_tokens:,} tokens, the largest {_relative(features, fired.latent, fired.largest)}",
                latent,
            )
            for fired in found[:SHOWN]
        ]
        more = f", the first {SHOWN}" if len(found) > SHOWN else ""
        lists.append(_list(level, f"{len(found)} fire{more}", rows))
    title = "In the whole text"
    hint = "Sum of activations over the text, the largest first"
    return Box("prompt-text-features", title, Stack(lists, "per-level"), label=title, hint=hint)


def continuations(plain: Written, steered: Written, n_tokens: int) -> Content:
    """Both texts, side by side; the first token in which they part is marked."""
    pairs = zip(plain.token_ids, steered.token_ids, strict=False)
    same = next((place for place, (a, b) in enumerate(pairs) if a != b), None)
    parts = [_continuation("Unsteered", plain, n_tokens, None), _continuation("Steered", steered, n_tokens, same)]
    return Stack(parts, "continuations")


def _continuation(title: str, written: Written, n_tokens: int, differs_at: int | None) -> Stack:
    n = len(written.texts)
    state = f"{n} tokens" if written.finished else f"{n} of {n_tokens} tokens …"
    if differs_at is not None:
        state += f", {differs_at} the same" if differs_at else ", differs from the first token on"
    text: Content = Notice(written.refused) if written.refused else WrittenText(written.texts, differs_at)
    progress = Progress(1.0 if written.finished else n / n_tokens, f"{title} text")
    parts = [Heading([title, " ", Text(state, "state")]), progress, text]
    return Stack(parts, f"continuation {title.lower()}")


def linked(features: FeatureIndex, latent: int) -> FeatureLink:
    """A latent to click."""
    return FeatureLink(latent, int(features.level[latent]), features.top_tokens[latent])


def _relative(features: FeatureIndex, latent: int, value: float) -> str:
    most = float(features.max[latent])
    if most <= 0:
        return f"{number(value, 2)}; it never fires on the sample"
    return f"{number(value, 2)}, {100 * value / most:.0f}% of its largest on the sample ({number(most, 2)})"


def _row(features: FeatureIndex, other: int, heat: float, value: float, meaning: str, latent: int | None) -> PickRow:
    """A latent to pick or to open, with its activation on a ground as strong."""
    most = float(features.max[other])
    figure = Shade(number(value, 2), heat / most if most > 0 else 1.0, meaning)
    return PickRow(other, other == latent, FeatureLink(other, tokens=features.top_tokens[other]), figure)


def _list(level: int, count: str, rows: list[PickRow]) -> Stack:
    return Stack([Heading([LevelChip(level), " ", Text(count)]), PickList(rows)], "of-level")
