"""The absorption study's results: means and deviations over seeds, as a table for each L0 and as a figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from rich.table import Table

from experiments.lib.results import Figure, mean_of
from msae.plots.seeds import Panel, mean_and_sd, seeds_figure

NAMES = {
    "fixed": "nested",
    "balanced": "nested, balanced",
    "sampled": "nested, sampled",
    "batchtopk": "BatchTopK",
    "topk": "TopK",
}
Measured = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One row of the table: its name, where it and its null lie in a cell's results, its unit and digits."""

    name: str
    path: str
    unit: str = "fraction"
    digits: int = 3
    null: str | None = None


ROWS = (
    Row("L0", "whole.l0", "latents a token", 2),
    Row("FVU", "whole.fvu"),
    Row("cross-entropy recovered", "whole.ce_recovered"),
    Row("dead", "whole.dead"),
    Row("absorption without labels: mean rate", "unlabelled.flat.rate", null="unlabelled.flat.null"),
    Row("absorption without labels: absorbed pairs", "unlabelled.flat.absorbed_per_token", "pairs a token", 2),
    Row("absorption without labels: from level to level", "unlabelled.across.rate"),
    Row("first letters: SAEBench full", "labelled.letters.saebench_full"),
    Row("first letters: SAEBench fraction", "labelled.letters.saebench_fraction"),
    Row("first letters: ablation of the probe's logit", "labelled.letters.probe_ablation"),
    Row("first letters: main latents a letter", "labelled.letters.splits", "latents", 2),
    Row("Python labels: SAEBench full", "labelled.python.saebench_full"),
    Row("Python labels: SAEBench fraction", "labelled.python.saebench_fraction"),
    Row("Python labels: ablation of the probe's logit", "labelled.python.probe_ablation"),
    Row("Python labels: main latents a label", "labelled.python.splits", "latents", 2),
    Row("a label on its child's tokens: SAEBench full", "labelled.children.saebench_full"),
    Row("a label on its child's tokens: SAEBench fraction", "labelled.children.saebench_fraction"),
    Row("a label on its child's tokens: ablation of the probe's logit", "labelled.children.probe_ablation"),
    Row("F1 of a probe on 1 latent", "labelled.f1.1", "F1"),
    Row("F1 of a probe on 5 latents", "labelled.f1.5", "F1"),
    Row("F1 of a probe on the activations", "labelled.activations_f1", "F1"),
)

PANELS = (
    ("Variance left unexplained", "FVU", "whole.fvu", None),
    ("Absorption without labels", "mean rate over candidates", "unlabelled.flat.rate", "unlabelled.flat.null"),
    ("First letters", "SAEBench full absorption", "labelled.letters.saebench_full", None),
    ("A label on its child's tokens", "SAEBench full absorption", "labelled.children.saebench_full", None),
    ("Splits of a letter", "main latents", "labelled.letters.splits", None),
    ("Probing", "F1 of a probe on 1 latent", "labelled.f1.1", None),
)


def figures(measured: Sequence[Measured]) -> list[Figure]:
    """Means over seeds, for every kind, L0 and row that was measured."""
    out = []
    for row in ROWS:
        null = _by_seed(measured, row.null) if row.null else {}
        for (kind, k), found in _by_seed(measured, row.path).items():
            figure = mean_of(row.name, found, row.unit, {"SAE": NAMES[kind], "L0": k})
            chance = null.get((kind, k))
            out.append(replace(figure, chance=fmean(chance)) if chance else figure)
    return out


def table(measured: Sequence[Measured], k: int) -> Table:
    """Mean ± standard deviation over seeds at one L0."""
    kinds = [kind for kind in NAMES if any(row["cell"]["kind"] == kind for row in measured)]
    n_seeds = len({row["cell"]["seed"] for row in measured})
    out = Table(title=f"L0 {k}, {n_seeds} seeds, mean ± standard deviation", title_justify="left")
    out.add_column("")
    for kind in kinds:
        out.add_column(NAMES[kind], justify="right")
    for row in ROWS:
        for name, path in ((row.name, row.path), ("  by chance", row.null)):
            if path:
                found = _by_seed(measured, path)
                out.add_row(name, *(_written(found.get((kind, k), []), row.digits) for kind in kinds))
    return out


def figure(measured: Sequence[Measured]) -> Any:
    """The panels that tell the story; every seed a dot."""
    panels = [
        Panel(title=title, label=label, values=_series(measured, path), null=_series(measured, null) if null else None)
        for title, label, path, null in PANELS
    ]
    return seeds_figure(panels, list(NAMES.values()), title="What nesting does to absorption, splitting and the rest")


def _series(measured: Sequence[Measured], path: str) -> dict[str, dict[str, list[float]]]:
    out: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for (kind, k), found in _by_seed(measured, path).items():
        out[f"L0 {k}"][NAMES[kind]] = found
    return dict(out)


def _by_seed(measured: Sequence[Measured], path: str) -> dict[tuple[str, int], list[float]]:
    out: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in measured:
        value: Any = row
        for name in path.split("."):
            value = value.get(name) if value is not None else None
        if value is not None:
            out[row["cell"]["kind"], row["cell"]["k"]].append(value)
    return dict(out)


def _written(values: list[float], digits: int) -> str:
    if not values:
        return "n/a"
    mean, sd = mean_and_sd(values)
    return f"{mean:.{digits}f} ± {sd:.{digits}f}"
