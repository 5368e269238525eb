"""The live prompt: a text typed in, the latents that fire on each of its tokens, and what steering along one does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

import msae.demo
from msae.core.errors import MsaeError
from msae_dashboards.address import Address
from msae_dashboards.feature_index import FeatureIndex
from msae_dashboards.live import Continuations, LiveModel, Wish, shown
from msae_dashboards.live.firing import Firing
from msae_dashboards.packing import packed
from msae_dashboards.pages.page import Page
from msae_dashboards.panels.panel import missing, titled
from msae_dashboards.primitives import feature_link, number
from msae_dashboards.tables import LEVELS, MissingTableError, RunTables

PATH = "prompt"
PICK, READ, STEER = "prompt-pick", "prompt-read", "prompt-steer"
LEFT, RIGHT, STEERED, WRITTEN = "prompt-left", "prompt-right", "prompt-steered", "prompt-written"
TICK = "prompt-tick"
CONTROLS = {
    "text": "prompt-text",
    "level": "prompt-level",
    "strength": "prompt-strength",
    "n": "prompt-n",
    "temperature": "prompt-temperature",
}
"""Each control's key in the URL, and its id. `assets/prompt.js` writes the URL from the same keys."""

LENGTHS, TEMPERATURES = ("20", "40", "80"), {"0": "likeliest", "0.7": "drawn, cooler", "1": "drawn"}
WEAKEST, STRONGEST, STEP = -2.0, 4.0, 0.1
EXAMPLE = """class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def norm(self):
        return"""


@dataclass(frozen=True)
class Asked:
    """What a state of the page asks for. `token`, `latent`: None leaves the choice to the page."""

    text: str
    token: int | None
    latent: int | None
    levels: tuple[int, ...]
    strength: float
    n_tokens: int
    temperature: float

    @classmethod
    def of(cls, state: Mapping[str, Any], features: FeatureIndex) -> Asked:
        """From the keys of the URL; what it does not understand is left out."""
        address = Address(page=PATH, query={key: str(value) for key, value in state.items()})
        latent = (address.numbers("latent") or (None,))[0]
        kept = [level for level in address.numbers("level") if level < features.n_levels]
        strength = address.number("strength") or 0.0
        return cls(
            text=address.query.get("text", ""),
            token=(address.numbers("token") or (None,))[0],
            latent=latent if latent is not None and latent < len(features) else None,
            levels=tuple(sorted(set(kept))) or tuple(range(features.n_levels)),
            strength=min(max(strength, WEAKEST), STRONGEST),
            n_tokens=int(_one_of(LENGTHS, address.query.get("n"), "40")),
            temperature=float(_one_of(TEMPERATURES, address.query.get("temperature"), "0")),
        )


def render(tables: RunTables, address: Address) -> Component:
    """The controls as the address has them; what they ask for comes once the model is there."""
    try:
        features = tables.features()
    except MissingTableError as error:
        return html.Div([html.H1("Live prompt"), missing(error)], className="page")
    asked = Asked.of(address.query, features)
    state = {**address.query, "text": asked.text or _first_text(tables, asked.latent)}
    chosen = [str(level) for level in address.numbers("level")]
    levels = [dmc.Chip(f"L{level}", value=str(level), size="xs") for level in range(features.n_levels)]
    keep = dmc.ChipGroup(dmc.Group(levels, gap=4), id=CONTROLS["level"], multiple=True, value=chosen)
    group = html.Div(
        [html.Span("Levels shown", className="label"), keep],
        className="filter",
        role="group",
        **{"aria-label": "Levels shown"},
    )
    text = dmc.Textarea(
        id=CONTROLS["text"],
        value=state["text"],
        placeholder="Type a text",
        autosize=True,
        minRows=3,
        maxRows=9,
        debounce=300,
        spellCheck=False,
        className="prompt-text",
        **{"aria-label": "Text to read"},
    )
    body = html.Div(
        [
            html.Div(
                [titled("", text, name="prompt-box", label="Text to read"), html.Div(_opening(), id=LEFT)],
                className="column",
            ),
            html.Div(id=RIGHT, className="column"),
        ],
        className="prompt",
    )
    memory = [
        dcc.Store(id=PICK, data={key: state[key] for key in ("text", "token", "latent") if key in state}),
        dcc.Store(id=READ, data={key: state[key] for key in ("text", "token", "latent", "level") if key in state}),
        dcc.Store(id=STEER, data=state),
        dcc.Interval(id=TICK, interval=250),
    ]
    return html.Div(
        [html.Header([html.H1("Live prompt"), group]), body, _steering(asked), *memory], className="page prompt-page"
    )


def connect(app: Dash, tables: RunTables) -> None:
    """Controls change the state and the URL; the state is read, and written on, by the run's own model."""
    live = LiveModel(tables.run, tables.model)
    continuations = Continuations(live.opened)
    app.clientside_callback(
        ClientsideFunction("msae", "prompt"),
        Output(READ, "data"),
        Output(STEER, "data"),
        *(Input(control, "value") for control in CONTROLS.values()),
        Input(PICK, "data"),
        State(READ, "data"),
        State(STEER, "data"),
        prevent_initial_call=True,
    )

    @app.callback(Output(LEFT, "children"), Output(RIGHT, "children"), Input(READ, "data"))
    def read(state: dict[str, Any] | None) -> tuple[Any, Any]:
        return reading(tables, live, state or {})

    @app.callback(
        Output(STEERED, "children"),
        Output(WRITTEN, "children"),
        Output(TICK, "disabled"),
        Input(STEER, "data"),
        Input(TICK, "n_intervals"),
    )
    def steer(state: dict[str, Any] | None, _ticks: int | None) -> tuple[Any, Any, bool]:
        head, written, finished = steered(tables, live, continuations, state or {})
        return packed(head), packed(written), finished


def reading(tables: RunTables, live: LiveModel, state: Mapping[str, Any]) -> tuple[Any, Any]:
    """What stands under the text, and what beside it."""
    try:
        features = tables.features()
        asked = Asked.of(state, features)
        if not asked.text.strip():
            return html.P("Type a text to see what fires on its tokens.", className="note"), None
        read = live.read(asked.text)
        firing = Firing(read, features.level)
        token = firing.n_rows - 1 if asked.token is None else min(asked.token, firing.n_rows - 1)
        latent = _latent(asked, firing, token)
        left = [
            shown.tokens(read, firing, features, token, latent),
            shown.level_figures(read, firing, features, _recorded(tables, features.n_levels)),
        ]
        right = [
            shown.of_token(read, firing, features, token, latent, asked.levels),
            shown.of_text(firing, features, latent, asked.levels),
        ]
        return left, right
    except MsaeError as error:
        return _refused(error), None


def steered(
    tables: RunTables, live: LiveModel, continuations: Continuations, state: Mapping[str, Any]
) -> tuple[Any, Any, bool]:
    """Which latent is steered and how far, what has been written, and whether that is all."""
    try:
        features = tables.features()
        asked = Asked.of(state, features)
        if not asked.text.strip():
            return None, None, True
        firing = Firing(live.read(asked.text), features.level)
        token = firing.n_rows - 1 if asked.token is None else min(asked.token, firing.n_rows - 1)
        latent = _latent(asked, firing, token)
        if latent is None:
            return html.P("Nothing fires on this token: choose a feature of another.", className="note"), None, True
        unit, said = _unit(features, latent)
        plain = Wish(text=asked.text, n_tokens=asked.n_tokens, temperature=asked.temperature)
        bent = Wish(
            text=asked.text,
            n_tokens=asked.n_tokens,
            temperature=asked.temperature,
            latent=latent,
            strength=asked.strength * unit,
        )
        head = html.P(
            [
                feature_link(latent, int(features.level[latent]), features.top_tokens[latent]),
                html.Span(f"{asked.strength:+g} × {said} = {number(asked.strength * unit, 2)}", className="value"),
            ],
            className="steered-by",
        )
        if asked.strength == 0:
            (written,) = continuations.written(plain)
            return head, shown.continuations(written, None, asked.n_tokens), written.finished
        written, other = continuations.written(plain, bent)
        body = shown.continuations(written, other, asked.n_tokens)
        return head, body, written.finished and other.finished
    except MsaeError as error:
        return None, html.P(str(error), className="note"), True


def _latent(asked: Asked, firing: Firing, token: int) -> int | None:
    return firing.strongest(token, asked.levels) if asked.latent is None else asked.latent


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


def _first_text(tables: RunTables, latent: int | None) -> str:
    """A text to begin with: where the latent fires most, or, for the model that ships with msae, some Python."""
    if latent is not None and tables.has("examples"):
        for row in tables.rows("examples", latent)[:1]:
            return "".join(token or "" for token in row["context_tokens"])
    model = tables.run.config["store"]["source"]["model"]
    return EXAMPLE if model == msae.demo.model_path().name else ""


def _steering(asked: Asked) -> Component:
    marks = [{"value": value, "label": f"{value:g}×"} for value in range(-2, 5)]
    slider = dmc.Slider(
        id=CONTROLS["strength"],
        value=asked.strength,
        min=WEAKEST,
        max=STRONGEST,
        step=STEP,
        marks=marks,
        thumbLabel="Strength, in multiples of the feature's largest activation",
        className="strength",
    )
    lengths = [{"value": n, "label": n} for n in LENGTHS]
    ways = [{"value": value, "label": label} for value, label in TEMPERATURES.items()]
    controls = [
        ("Strength", slider, "filter wide"),
        (
            "Tokens",
            dmc.SegmentedControl(id=CONTROLS["n"], data=lengths, value=str(asked.n_tokens), size="xs"),
            "filter",
        ),
        (
            "Each token",
            dmc.SegmentedControl(id=CONTROLS["temperature"], data=ways, value=f"{asked.temperature:g}", size="xs"),
            "filter",
        ),
    ]
    row = [
        html.Div([html.Span(label, className="label"), control], className=name, role="group", **{"aria-label": label})
        for label, control, name in controls
    ]
    return titled(
        "Steer",
        html.Div(id=STEERED),
        html.Div(row, className="filters"),
        html.Div(id=WRITTEN),
        name="prompt-steering",
        hint="The feature's decoder direction is added at the run's hook on every token of the text and of what is "
        "written; the model runs anew for each token",
    )


def _opening() -> Component:
    return html.P(
        ["Opening the model …", html.Span("The first time it takes some seconds.")], className="opening", role="status"
    )


def _refused(error: MsaeError) -> Component:
    return html.Div(html.P(str(error)), className="notice", role="alert")


def _one_of(choices: Any, value: str | None, default: str) -> str:
    return value if value is not None and value in choices else default


PAGE = Page(name=PATH, title="Live prompt", render=render, connect=connect, exported=False)
