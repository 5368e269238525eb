"""A table of levels as a person reads it in a terminal or a notebook."""

from __future__ import annotations

import html
from collections.abc import Callable

import pandas as pd
from rich.table import Table
from rich.text import Text

from msae.analysis.levels.level_table import LevelRow, LevelTable

NOT_APPLICABLE = "n/a"


def levels_table(table: LevelTable) -> Table:
    """One row a level, for ``rich.console.Console().print``; what does not apply reads ``n/a``."""
    sample = table.sample
    where = " ".join(part for part in (sample.model, sample.hook_name) if part)
    out = Table(
        title=f"What each level is worth: {sample.n_tokens:,} tokens" + (f" of {where}" if where else ""),
        caption=_caption(table),
        caption_justify="left",
        title_justify="left",
    )
    for heading, _ in COLUMNS:
        out.add_column(heading, justify="right")
    for row in table.levels:
        out.add_row(*(write(row) for _, write in COLUMNS))
    return out


def levels_html(table: LevelTable) -> str:
    """The same as HTML, for a notebook."""
    rows = [[write(row) for _, write in COLUMNS] for row in table.levels]
    shown = pd.DataFrame(rows, columns=[heading for heading, _ in COLUMNS]).to_html(index=False, border=0)
    return shown + "".join(f"<div>{html.escape(line)}</div>" for line in _caption(table).plain.splitlines())


def _number(name: str, digits: int) -> Callable[[LevelRow], str]:
    def write(row: LevelRow) -> str:
        value = getattr(row, name)
        return NOT_APPLICABLE if value is None else f"{value:,.{digits}f}"

    return write


def _of_band(name: str) -> Callable[[LevelRow], str]:
    return lambda row: f"{getattr(row, name):,} ({100 * getattr(row, name) / row.band_width:.1f}%)"


COLUMNS: tuple[tuple[str, Callable[[LevelRow], str]], ...] = (
    ("level", _number("level", 0)),
    ("width", _number("width", 0)),
    ("L0", _number("l0", 2)),
    ("FVU", _number("fvu", 4)),
    ("cosine", _number("cosine", 3)),
    ("CE", _number("ce_sae", 3)),
    ("CE recovered", _number("ce_recovered", 4)),
    ("KL", _number("kl", 4)),
    ("dead", _of_band("dead")),
    ("dense", _of_band("dense")),
    ("bits/token", _number("bits", 1)),
)


def _caption(table: LevelTable) -> Text:
    last, sample = table.levels[-1], table.sample
    lines = ["FVU, CE and bits: the whole prefix. Dead and dense: the band a level adds."]
    if last.ce_clean is not None:
        values = (("clean", last.ce_clean), ("zeros", last.ce_zero), ("mean", last.ce_mean))
        written = ", ".join(f"{name} {value:.3f}" for name, value in values if value is not None)
        lines.append(f"CE in nats over {sample.n_predictions:,} predictions: {written}.")
    if sample.quantiser_step is not None:
        lines.append(
            f"Values rounded to steps of {sample.quantiser_step:g} in bits/token; "
            f"FVU is then {last.fvu_quantised:.4f} at full width."
        )
    return Text("\n".join([*lines, *sample.notes]))


__all__ = ["levels_html", "levels_table"]
