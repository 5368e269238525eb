"""The live prompt: a text typed in, the latents that fire on each of its tokens, and what steering along one does.

The page holds the controls as its address has them. What they lead to needs the run's model: the app puts it into the
page's places (`app/prompt.py`).
"""

from __future__ import annotations

from functools import cache

import msae.demo
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.page import Page
from msae_dashboards.pages.panel import Visit
from msae_dashboards.pages.prompt.state import LENGTHS, STEP, STRONGEST, TEMPERATURES, WEAKEST, PromptState
from msae_dashboards.view.controls import Controls, OneOf, Place, Several, Slider, TextField
from msae_dashboards.view.nodes import Body, Box, LevelChip, Paragraph, Stack, Strong

EXAMPLE = """class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def norm(self):
        return"""


def body(visit: Visit) -> Body:
    """The controls as the address has them; what they lead to comes once the model is there."""
    features = visit.tables.features()
    state = PromptState.of(visit.address.query, features)
    text = TextField(
        "text", "Text to read", state.text or first_text(visit.tables, state.latent), "Type a text", rows=7
    )
    levels = [(str(level), LevelChip(level)) for level in range(features.n_levels)]
    chosen = [str(level) for level in visit.address.numbers("level")]
    opening = Paragraph([Strong("Opening the model …"), " The first time it takes some seconds."], "opening")
    left = [Box("prompt-box", "", Controls(text), "Text to read"), Place("prompt-left", opening, "column")]
    columns = Stack([Stack(left, "column"), Place("prompt-right", kind="column")], "prompt")
    head = Controls(Several("level", "Levels shown", levels, chosen))
    return Body(
        "Live prompt", [columns, Place("prompt-nest", kind="column"), _steering(state)], head=head, kind="prompt-page"
    )


def _steering(state: PromptState) -> Box:
    controls = [
        Slider("strength", "Strength", state.strength, WEAKEST, STRONGEST, STEP, range(-2, 5), "×"),
        OneOf("n", "Tokens", [(n, n) for n in LENGTHS], str(state.n_tokens)),
        OneOf("temperature", "Each token", list(TEMPERATURES.items()), f"{state.temperature:g}"),
    ]
    return Box(
        "prompt-steering",
        "Steer",
        [Place("prompt-steered"), Controls(controls), Place("prompt-written")],
        label="Steer",
        hint="The feature's decoder direction is added at the run's hook on every token of the text and of what is "
        "written; the model runs anew for each token",
    )


def first_text(tables: RunTables, latent: int | None) -> str:
    """A text to begin with: where the latent fires most, or, for the model that ships with msae, some Python."""
    if latent is not None and tables.has("examples"):
        for row in tables.rows("examples", latent)[:1]:
            return "".join(token or "" for token in row["context_tokens"])
    return EXAMPLE if tables.source["revision"] == _shipped_revision() else ""


@cache
def _shipped_revision() -> str:
    """The model that ships with msae, told by its weights: a folder of any other may have the same name."""
    from msae.activations.fingerprint import folder_fingerprint

    return folder_fingerprint(msae.demo.model_path())


PAGE = Page(name="prompt", title="Live prompt", panels=(), body=body, exported=False)
