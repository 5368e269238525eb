"""What both sides lose against the bits their codes cost."""

from __future__ import annotations

from msae.plots.rate import compared_rate_figure
from msae.runs.layout import compared_table
from msae_dashboards.pages.compare.compared import LEVELS, Compared
from msae_dashboards.pages.panel import Panel, Visit
from msae_dashboards.view.nodes import Content, Figure, Paragraph


def render(visit: Visit) -> Content:
    """A curve a level of either side, its points from coarse to fine steps of the quantiser."""
    compared, tables = Compared.of(visit), visit.tables
    sides = (compared.a, compared.b)
    if compared.name == LEVELS:
        records = [row for row in tables.table("rate_distortion").to_pylist() if row["level"] in sides]
        series = {"": records}
    else:
        wanted = [compared.sides[side].name for side in sides]
        records = tables.table(compared_table(compared.name, "compare_rate")).to_pylist()
        series = {}
        for row in records:
            name = next((name for name in wanted if name in (row["run"], f"{row['run']}/{row['width']}")), None)
            if name is not None:
                series.setdefault(name, []).append(row)
    if not any(series.values()):
        return Paragraph("Not measured.", "note")
    label = "; ".join(
        f"{name or 'the run'} level {row['level']}: {row['bits']:.0f} bits, FVU {row['fvu']:.3f}"
        for name, rows in series.items()
        for row in rows[-1:]
    )
    return Figure(compared_rate_figure(series), f"Fraction lost against bits a token. {label}")


PANEL = Panel(
    name="compare-rate",
    title="What is lost, by what the codes cost",
    about="run",
    needs=("rate_distortion",),
    render=render,
)
