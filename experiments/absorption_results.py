"""The absorption study's results: means and deviations over seeds, as a table for each L0 and as a figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

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
class Figure:
    """One row of the table: what it is called, where it lies in a cell's results, and its digits."""

    name: str
    path: str
    digits: int = 3


FIGURES = (
    Figure("L0 measured", "whole.l0", 2),
    Figure("FVU", "whole.fvu"),
    Figure("cross-entropy recovered", "whole.ce_recovered"),
    Figure("dead", "whole.dead"),
    Figure("absorption without labels: mean rate", "unlabelled.flat.rate"),
    Figure("  by chance", "unlabelled.flat.null"),
    Figure("  absorbed pairs a token", "unlabelled.flat.absorbed_per_token", 2),
    Figure("  from level to level", "unlabelled.across.rate"),
    Figure("first letters: SAEBench full", "labelled.letters.saebench_full"),
    Figure("  SAEBench fraction", "labelled.letters.saebench_fraction"),
    Figure("  ablation of the probe's logit", "labelled.letters.probe_ablation"),
    Figure("  main latents a letter", "labelled.letters.splits", 2),
    Figure("Python labels: SAEBench full", "labelled.python.saebench_full"),
    Figure("  SAEBench fraction", "labelled.python.saebench_fraction"),
    Figure("  ablation of the probe's logit", "labelled.python.probe_ablation"),
    Figure("  main latents a label", "labelled.python.splits", 2),
    Figure("a label on its child's tokens: SAEBench full", "labelled.children.saebench_full"),
    Figure("  SAEBench fraction", "labelled.children.saebench_fraction"),
    Figure("  ablation of the probe's logit", "labelled.children.probe_ablation"),
    Figure("F1 of a probe on 1 latent", "labelled.f1.1"),
    Figure("  on 5 latents", "labelled.f1.5"),
    Figure("  on the activations", "labelled.activations_f1"),
)

PANELS = (
    ("Variance left unexplained", "FVU", "whole.fvu", None),
    ("Absorption without labels", "mean rate over candidates", "unlabelled.flat.rate", "unlabelled.flat.null"),
    ("First letters", "SAEBench full absorption", "labelled.letters.saebench_full", None),
    ("A label on its child's tokens", "SAEBench full absorption", "labelled.children.saebench_full", None),
    ("Splits of a letter", "main latents", "labelled.letters.splits", None),
    ("Probing", "F1 of a probe on 1 latent", "labelled.f1.1", None),
)


def summary(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """A row for every kind, L0 and figure that was measured: its mean, deviation and values over seeds."""
    return [
        {"kind": kind, "k": k, "figure": figure.path, "mean": mean, "sd": sd, "seeds": found}
        for figure in FIGURES
        for (kind, k), found in _by_seed(measured, figure.path).items()
        for mean, sd in [mean_and_sd(found)]
    ]


def table(measured: Sequence[Measured], k: int) -> Table:
    """Mean ± standard deviation over seeds at one L0."""
    kinds = [kind for kind in NAMES if any(row["cell"]["kind"] == kind for row in measured)]
    n_seeds = len({row["cell"]["seed"] for row in measured})
    out = Table(title=f"L0 {k}, {n_seeds} seeds, mean ± standard deviation", title_justify="left")
    out.add_column("")
    for kind in kinds:
        out.add_column(NAMES[kind], justify="right")
    for figure in FIGURES:
        found = _by_seed(measured, figure.path)
        out.add_row(figure.name, *(_written(found.get((kind, k), []), figure.digits) for kind in kinds))
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
