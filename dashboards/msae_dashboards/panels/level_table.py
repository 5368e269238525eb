"""The table of levels: what each is worth."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from msae.analysis.levels.level_table import DEFINITIONS, LevelRow
from msae_dashboards.address import Address, features_href
from msae_dashboards.panels.panel import Panel
from msae_dashboards.primitives import level_link, number, small_table
from msae_dashboards.tables import RunTables

COLUMNS = {
    "width": ("width", 0),
    "l0": ("L0", 2),
    "fvu": ("FVU", 3),
    "ev": ("EV", 3),
    "ce_recovered": ("CE recovered", 3),
    "kl": ("KL, nats", 3),
    "dead": ("dead", 0),
    "dense": ("dense", 0),
    "bits": ("bits/token", 1),
}


def render(tables: RunTables, address: Address) -> Component:
    """One row a level, and the sample it was measured on."""
    table = tables.levels()
    head = [html.Abbr("level", title=DEFINITIONS["level"])]
    head += [html.Abbr(label, title=DEFINITIONS[name]) for name, (label, _) in COLUMNS.items()]
    where = " ".join(filter(None, [table.sample.model, table.sample.hook_name]))
    return html.Div(
        [
            small_table(head, [_row(row) for row in table.levels], caption="Figures of every level"),
            html.P(
                [f"Measured on {table.sample.n_tokens:,} tokens", f" of {where}." if where else "."], className="note"
            ),
            *(html.P(note, className="note") for note in table.sample.notes),
        ]
    )


def _row(row: LevelRow) -> list[Component | str]:
    values = [number(getattr(row, name), digits) for name, (_, digits) in COLUMNS.items()]
    return [level_link(row.level, features_href(level=str(row.level))), *values]


PANEL = Panel(name="level-table", title="Levels", about="run", needs=("levels",), render=render)
