"""The study of training settings: its tables, its figure, and what is kept of it."""

from __future__ import annotations

import itertools
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.lib.results import Figure
from experiments.studies.rate_search import Cell, Search, fit, rate_of
from msae.plots.curves import Curve, curves_figure
from msae.training import default_lr

Varied = dict[str, Any]
"""One change of one cell: `source`, `d_sae`, and what came of it."""


def default_rate(d_sae: int, batch: int, tokens: int) -> float:
    """The rate that msae takes for such a run."""
    return default_lr(d_sae, batch, tokens // batch)


def default_rate_of(cell: Cell) -> float:
    """The same for a cell."""
    return default_rate(cell.d_sae, cell.batch, cell.tokens)


def show_searches(searches: list[Search]) -> None:
    rates = sorted({lr for found in searches for lr in found.scores})
    table = Table(title="Mean held-out FVU of the three levels, by learning rate (default: interpolated)")
    for heading in (
        "source",
        "d_sae",
        "batch",
        "steps",
        *(f"{1e3 * lr:.2g}e-3" for lr in rates),
        "default",
        "its loss",
    ):
        table.add_column(heading, justify="right")
    for found in searches:
        cell, scores = found.cell, found.scores
        shown = [f"{scores[lr]:.4f}" if lr in scores else "" for lr in rates]
        shown[rates.index(found.best)] = f"[bold]{shown[rates.index(found.best)]}[/bold]"
        default = default_rate_of(cell)
        loss = found.loss_at(default)
        sizes = (f"{number:,}" for number in (cell.d_sae, cell.batch, cell.steps))
        table.add_row(cell.source, *sizes, *shown, f"{1e3 * default:.2g}e-3", f"{loss:+.1%}")
    Console(width=60 + 9 * (len(rates) + 2)).print(table)


def rates_figure(searches: list[Search]) -> Any:
    """What every cell loses against the best of its rates, by the rate's distance from the default."""
    curves = []
    for found in searches:
        cell, least = found.cell, min(found.scores.values())
        curves.append(
            Curve(
                subject=f"{cell.source}, {cell.d_sae:,}",
                aspect=f"batch {cell.batch:,}, {cell.steps:,} steps",
                x=[lr / default_rate_of(cell) for lr in found.scores],
                y=[100 * (score / least - 1) for score in found.scores.values()],
            )
        )
    return curves_figure(
        curves,
        title="What a learning rate costs",
        x="learning rate / default",
        y="FVU above the best, %",
        x_scale="log",
    )


def show_rule(rule: dict[str, float], searches: list[Search]) -> None:
    shipped = [found.loss_at(default_rate_of(found.cell)) for found in searches]
    print(f"the default rate loses {fmean(shipped):.2%} of the FVU on average, {max(shipped):.1%} at most")
    if rule:
        fitted = [found.loss_at(rate_of(rule, found.cell)) for found in searches]
        print(
            f"fitted: {rule['c']:.2e} (d_sae / 4096)^{rule['d_sae']:.2f} (batch / 2048)^{rule['batch']:.2f} "
            f"(steps / 1000)^{rule['steps']:.2f}, which loses {fmean(fitted):.2%} on average, {max(fitted):.1%} at most"
        )


def show_around(around: list[Varied]) -> None:
    sizes = sorted({row["d_sae"] for row in around})
    sources = list(dict.fromkeys(row["source"] for row in around))
    columns = list(itertools.product(sources, sizes))
    table = Table(title="Change of the mean FVU when one setting changes, and the share of dead latents")
    for heading in ("", "mean", *(f"{source} {d_sae:,}" for source, d_sae in columns)):
        table.add_column(heading, justify="left" if not heading else "right")
    for name in dict.fromkeys(changed(row) for row in around):
        rows = {(row["source"], row["d_sae"]): row for row in around if changed(row) == name}
        shown = [f"{rows[column]['change']:+.1%}, {rows[column]['dead']:.1%}" for column in columns]
        table.add_row(name, f"{fmean(row['change'] for row in rows.values()):+.2%}", *shown)
    Console(width=40 + 16 * len(columns)).print(table)


def changed(row: Varied) -> str:
    """What is other than in the defaults, in words."""
    items = (f"{key} {value:.3g}" if isinstance(value, float) else str(value) for key, value in row["changed"].items())
    return ", ".join(items) or "the defaults"


def show_auxk(rows: list[Varied]) -> None:
    table = Table(title="Mean held-out FVU and the share of dead latents, with AuxK in these steps")
    for heading in ("source", "d_sae", "learning rate", *rows[0]["by_auxk"]):
        table.add_column(heading, justify="right")
    for row in rows:
        found = row["by_auxk"].values()
        shown = ["failed" if f["score"] is None else f"{f['score']:.4f}, {f['dead']:.1%}" for f in found]
        table.add_row(row["source"], f"{row['d_sae']:,}", f"{row['lr']:.2g}", *shown)
    Console(width=100).print(table)


def figures(searches: list[Search], around: list[Varied], auxk: list[Varied]) -> list[Figure]:
    """Everything the tables show."""
    out = list(itertools.chain(*map(_of_search, searches)))
    rules: dict[str, list[float]] = {}
    if searches:
        rules["default"] = [found.loss_at(default_rate_of(found.cell)) for found in searches]
    if rule := fit(searches):
        rules["fitted"] = [found.loss_at(rate_of(rule, found.cell)) for found in searches]
        units = {"c": "learning rate"}
        out += [_one(f"fitted rule: {name}", value, units.get(name, "exponent"), {}) for name, value in rule.items()]
    for name, losses in rules.items():
        of = {"n": len(losses), "of": "searches", "case": {"rule": name}, "unit": "fraction"}
        out.append(Figure(name="mean loss of the FVU against the best of the grid", value=fmean(losses), **of))
        out.append(Figure(name="largest loss of the FVU against the best of the grid", value=max(losses), **of))
    for row in around:
        case = {"source": row["source"], "d_sae": row["d_sae"], "changed": changed(row)}
        out.append(_one("change of the mean FVU", row["change"], "fraction", case))
        out.append(_one("dead latents after the change", row["dead"], "fraction", case))
    for row in auxk:
        for steps, found in row["by_auxk"].items():
            case = {"source": row["source"], "d_sae": row["d_sae"], "learning rate": row["lr"], "AuxK": steps}
            out.append(_one("mean held-out FVU, by AuxK", found["score"], "fraction", case))
            out.append(_one("dead latents, by AuxK", found["dead"], "fraction", case))
    return out


def _of_search(found: Search) -> list[Figure]:
    cell = found.cell
    case = {"source": cell.source, "d_sae": cell.d_sae, "batch": cell.batch, "steps": cell.steps}
    default = default_rate_of(cell)
    out = [
        _one("default learning rate", default, "learning rate", case),
        _one("loss of the FVU at the default rate, interpolated", found.loss_at(default), "fraction", case),
    ]
    for lr, result in sorted(found.results.items()):
        at = {**case, "learning rate": lr}
        out.append(_one("mean held-out FVU of three levels", result["score"], "fraction", at))
        out.append(_one("dead latents", result.get("dead"), "fraction", at))
    return out


def _one(name: str, value: float | None, unit: str, case: dict[str, Any]) -> Figure:
    return Figure(name=name, value=value, unit=unit, n=1, of="runs", case=case)
