"""The table of levels: what each is worth."""

from __future__ import annotations

from msae.analysis.levels.level_table import INTERVAL, LEVELS
from msae_dashboards.address import features_href
from msae_dashboards.pages.declared import figure, head
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Content, LevelChip, Paragraph, Table

COLUMNS = ("width", "l0", "fvu", "ce_lost", "ce_recovered_unigram", "ce_recovered", "kl", "dead", "dense", "bits")


def render(visit: Visit) -> Content:
    """One row a level, and the sample it was measured on."""
    table = visit.tables.levels()
    columns = [LEVELS[name] for name in table.columns(COLUMNS)]
    if table.intervals:
        columns.insert(COLUMNS.index("fvu") + 1, INTERVAL)
    rows: list[list[Content]] = []
    for record in table.records():
        record[INTERVAL.name] = table.shown_interval("fvu", record["level"])
        level = record["level"]
        chip = LevelChip(level, features_href(level=str(level)), f"all latents of level {level}")
        rows.append([chip, *(figure(column, record) for column in columns)])
    where = " ".join(filter(None, [table.sample.model, table.sample.hook_name]))
    measured = f"Measured on {table.sample.n_tokens:,} tokens" + (f" of {where}." if where else ".")
    return [
        Table("Figures of every level", [head(LEVELS["level"]), *map(head, columns)], rows),
        Paragraph(measured, "note"),
        *(Paragraph(note, "note") for note in (*table.about(), *table.sink_notes(), *table.sample.notes)),
    ]


PANEL = Panel(name="level-table", title="Levels", about="run", needs=("levels",), render=render)
