"""How a text that was read is shown: its tokens, the latents on one of them and on all, what each level leaves over."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from msae.analysis.interventions.prompt import PromptReading
from msae_dashboards.address import features_href
from msae_dashboards.feature_index import FeatureIndex
from msae_dashboards.live.continuations import Written
from msae_dashboards.live.firing import Firing
from msae_dashboards.packing import packed
from msae_dashboards.panels.panel import titled
from msae_dashboards.primitives import feature_link, level_chip, level_link, number, small_table, token_chip
from msae_dashboards.token_strip import broken, token_strip
from msae_dashboards.visible import visible

SHOWN = 10


def tokens(reading: PromptReading, firing: Firing, features: FeatureIndex, token: int, latent: int | None) -> Component:
    """The text, coloured by the activation of `latent` relative to its largest of all; a click chooses a token."""
    values = [0.0] * firing.n_rows if latent is None else firing.on(latent).tolist()
    most = 0.0 if latent is None else float(features.max[latent])
    strip = token_strip(
        reading.texts,
        reading.token_ids.tolist(),
        values,
        position=token,
        largest=most or max(values),
        line_breaks=True,
    )
    said = "Nothing fires on this token." if latent is None else ["Colour: activation of ", _chosen(features, latent)]
    return titled(
        f"{firing.n_rows:,} tokens",
        html.Div(strip, className="pick", tabIndex=0, **{"aria-label": "Tokens of the text: arrow keys choose one"}),
        html.P(said, className="note chosen"),
        name="prompt-tokens",
        hint="Click a token for the features that fire on it; hover for its activation and id",
    )


def level_figures(
    reading: PromptReading, firing: Firing, features: FeatureIndex, recorded: Sequence[float]
) -> Component:
    """L0 and FVU of every level on this text, beside the FVU recorded of the run."""
    widths = [int((features.level <= level).sum()) for level in range(features.n_levels)]
    rows = [
        [
            level_link(level, features_href(level=str(level))),
            f"{width:,}",
            number(firing.l0(width), 2),
            number(of_text, 3),
            number(of_run, 3),
        ]
        for level, (width, of_text, of_run) in enumerate(zip(widths, reading.fvu, recorded, strict=True))
    ]
    head = [
        html.Abbr(label, title=title)
        for label, title in (
            ("level", "0 is the smallest, outermost prefix of the latents"),
            ("width", "latents in the prefix: this level's and those of all levels before it"),
            ("L0 here", "mean number of the prefix's latents that fire on a token of this text"),
            ("FVU here", "share of the variance of this text's activations, around their own mean, that is left over"),
            ("FVU of the run", "the same on the holdout that the run was judged on"),
        )
    ]
    return titled(
        "What each level leaves over",
        small_table(head, rows, caption="Figures of every level on this text"),
        name="prompt-levels-table",
    )


def of_token(
    reading: PromptReading,
    firing: Firing,
    features: FeatureIndex,
    token: int,
    latent: int | None,
    levels: Sequence[int],
) -> Component:
    """The latents that fire on a token, a list a level."""
    lists = []
    for level in levels:
        found = firing.at(token, level)
        rows = [
            _row(features, other, value, value, f"{_relative(features, other, value)}", latent)
            for other, value in found
        ]
        lists.append(_list(level, f"{len(found)} fire", rows))
    word = [f"Token {token:,}: ", token_chip(reading.texts[token], f"id {int(reading.token_ids[token])}")]
    ways = [
        _step("← token", "previous", token - 1 if token > 0 else None),
        _step("token →", "next", token + 1 if token + 1 < firing.n_rows else None),
    ]
    return titled(
        [*word, html.Span(ways, className="ways")],
        html.Div(lists, className="by-level"),
        name="prompt-token",
        hint="The strongest first. Hover an activation to see how it compares with the feature's largest",
    )


def of_text(firing: Firing, features: FeatureIndex, latent: int | None, levels: Sequence[int]) -> Component:
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
    return titled(
        "In the whole text",
        html.Div(lists, className="by-level"),
        name="prompt-text-features",
        hint="Sum of activations over the text, the largest first",
    )


def continuations(plain: Written, steered: Written | None, n_tokens: int) -> Component:
    """Both texts, side by side; the first token in which they part is marked."""
    parts = [_continuation("Unsteered", plain, n_tokens, None)]
    if steered is not None:
        pairs = zip(plain.token_ids, steered.token_ids, strict=False)
        same = next((place for place, (a, b) in enumerate(pairs) if a != b), None)
        parts.append(_continuation("Steered", steered, n_tokens, same))
    return html.Div(parts, className="continuations")


def _continuation(title: str, written: Written, n_tokens: int, parts_at: int | None) -> Component:
    n = len(written.texts)
    state = f"{n} tokens" if written.finished else f"{n} of {n_tokens} tokens …"
    if parts_at is not None:
        state += f", {parts_at} the same" if parts_at else ", differs from the first token on"
    if written.refused:
        body: Component = html.P(written.refused, className="note", role="alert")
    else:
        shown = [
            html.I(broken(visible(text)), className="parts" if place == parts_at else None)
            for place, text in enumerate(written.texts)
        ]
        body = html.Div(shown, className="strip written", dir="ltr")
    done = 100 if written.finished else round(100 * n / n_tokens)
    bar = html.Div(html.Div(style={"width": f"{done}%"}), className="progress" + (" done" if written.finished else ""))
    heading = html.H3([title, html.Span(state, className="state", **{"aria-live": "polite"})])
    return html.Div([heading, bar, body], className=f"continuation {title.lower()}")


def _chosen(features: FeatureIndex, latent: int) -> Component:
    return feature_link(latent, int(features.level[latent]), features.top_tokens[latent])


def _relative(features: FeatureIndex, latent: int, value: float) -> str:
    most = float(features.max[latent])
    if most <= 0:
        return f"{number(value, 2)}; it never fires on the sample"
    return f"{number(value, 2)}, {100 * value / most:.0f}% of its largest on the sample ({number(most, 2)})"


def _row(features: FeatureIndex, other: int, heat: float, value: float, title: str, latent: int | None) -> Component:
    """A latent to pick (button) or to open (link), with its activation over a bar of its size."""
    most = float(features.max[other])
    pick = html.Button(
        "",
        type="button",
        className="pick-latent",
        title="colour the text by it, and steer it",
        **{"data-latent": str(other), "aria-pressed": str(other == latent).lower(), "aria-label": f"choose {other}"},
    )
    share = min(heat / most, 1.0) if most > 0 else 1.0
    shown = html.Span(number(value, 2), className="value heat", title=title, style={"--a": f"{share:.2f}"})
    # The button keeps its focus when the list changes; the rest is one component, so that long lists stay quick.
    link = packed(feature_link(other, None, features.top_tokens[other]))
    return html.Li([pick, link, shown], className="on" if other == latent else None)


def _list(level: int, said: str, rows: list[Component]) -> Component:
    return html.Div(
        [html.H3([level_chip(level), html.Span(said)]), html.Ul(rows, className="ranking")], className="of-level"
    )


def _step(label: str, name: str, token: int | None) -> Component:
    if token is None:
        return html.Span(label, className="way off", **{"aria-disabled": "true"})
    return html.Button(label, type="button", className=f"way {name}", **{"data-token": str(token)})
