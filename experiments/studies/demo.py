"""What is each level of the demo's run worth, and how do its levels hang together? Reads the tables of a finished run.

    msae demo                                        # makes runs/demo: harvests, trains, evaluates, analyzes
    msae train --independent runs/demo               # plain SAEs for comparison
    msae analyze runs/demo                           # splitting between those, too
    python experiments/studies/demo.py --results experiments/studies/results/demo.json

Nothing is measured here: figures come from `levels.json` and the tables of `msae analyze`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tyro

from experiments.lib.results import Figure, record
from msae.analysis.levels.level_table import LevelTable
from msae.analysis.tables import read_table
from msae.runs.layout import table_file
from msae.studies.independent import independent_runs
from msae.training import Run

QUESTION = "What is each level of the demo's run worth, and how do its levels hang together?"
LEVEL_FIGURES = {
    "l0": ("L0", "latents a token"),
    "fvu": ("FVU", "fraction of variance"),
    "ce_sae": ("CE", "nats a token"),
    "ce_lost": ("CE lost", "nats a token"),
    "ce_recovered": ("CE recovered", "fraction"),
    "ce_recovered_unigram": ("CE recovered against a unigram", "fraction"),
    "kl": ("KL", "nats a token"),
    "dead": ("dead", "latents"),
    "bits": ("bits a token", "bits"),
}
DEFINITIONS = ("saebench_full", "saebench_fraction", "main_silent")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`run`: the demo's. `results`: where the figures go."""

    run: Path = Path("runs/demo")
    results: Path | None = None


def main(settings: Settings) -> None:
    run = Run.open(settings.run)
    figures = [*levels(run), *splitting(run), *concepts(run), *baselines(run)]
    for figure in figures:
        print(f"{figure.name:24} {figure.case!s:60} {figure.value}")
    if settings.results:
        config = {"sae": run.config["sae"], "training": run.config["training"]}
        record(
            settings.results,
            __file__,
            question=QUESTION,
            figures=figures,
            seeds=(run.train_config.seed,),
            settings=config,
        )


def levels(run: Run) -> Iterator[Figure]:
    """What `msae eval` measured, a level each; and the model without the SAE and with zeros."""
    table = LevelTable.read(run.results / "levels.json")
    n = {"n": table.sample.n_tokens, "of": "tokens"}
    for row in table.levels:
        for field, (name, unit) in LEVEL_FIGURES.items():
            case = {"level": row.level, "width": row.width}
            found = table.intervals[row.level].get(field) if table.intervals else None
            interval = None if found is None else (found[0], found[1])
            yield Figure(name=name, value=getattr(row, field), unit=unit, case=case, interval=interval, **n)
    yield Figure(name="CE of the model", value=table.levels[0].ce_clean, unit="nats a token", **n)
    yield Figure(name="CE with zeros", value=table.levels[0].ce_zero, unit="nats a token", **n)
    yield Figure(name="CE of a unigram", value=table.levels[0].ce_unigram, unit="nats a token", **n)


def splitting(run: Run) -> Iterator[Figure]:
    """Pairs of levels of the nested SAE and, where there are any, of independent SAEs of the same widths."""
    for sae, name in (("nested", "splitting_levels"), ("independent", "splitting_independent_levels")):
        path = table_file(run.results, name)
        for row in read_table(path).to_pylist() if path.is_file() else []:
            case = {"SAE": sae, "parents": row["parent_level"], "children": row["child_level"]}
            n = {"n": row["n_parents"], "of": "parents", "case": case}
            yield Figure(name="parents", value=row["n_parents"], unit="latents", **n)
            yield Figure(name="with children", value=row["with_children"], unit="latents", **n)
            yield Figure(name="split", value=row["split"], unit="latents", **n)
            yield Figure(name="edges", value=row["edges"], unit="edges", chance=row["edges_by_chance"], **n)
            yield Figure(
                name="coverage",
                value=row["coverage"],
                unit="fraction of the parent's tokens",
                se=row["coverage_error"],
                chance=row["null_coverage"],
                **n,
            )
            yield Figure(name="overlap", value=row["overlap"], unit="children", **n)
            yield Figure(name="entropy", value=row["entropy"], unit="bits", **n)


def concepts(run: Run) -> Iterator[Figure]:
    """Means over labelled concepts, a level each."""
    if not table_file(run.results, "probes").is_file():
        return
    probes, found, absorbed = (
        read_table(table_file(run.results, name)).to_pandas()
        for name in ("probes", "concepts", "concept_absorption_levels")
    )
    usable = probes.dropna(subset=["f1"])
    for (level, k), rows in usable.groupby(["level", "k"]):
        case = {"level": int(level), "latents": int(k)}
        f1, chance = float(rows["f1"].mean()), float(rows["null_f1"].mean())
        yield Figure(name="F1 of a probe", value=f1, unit="F1", n=len(rows), of="concepts", chance=chance, case=case)
    yield Figure(name="concepts", value=len(found), unit="concepts", n=1, of="runs")
    for level, count in found["first_level"].value_counts().items():
        case = {"level": int(level)}
        yield Figure(name="first separated", value=int(count), unit="concepts", n=len(found), of="concepts", case=case)
    mean = absorbed[(absorbed["family"] == "all") & ~absorbed["of_children"] & (absorbed["concepts"] > 0)]
    for row in mean.to_dict("records"):
        n, case = {"n": int(row["concepts"]), "of": "concepts"}, {"level": int(row["level"])}
        if row["definition"] in DEFINITIONS:
            case |= {"definition": str(row["definition"])}
            errors = {"se": float(row["rate_error"]), "chance": float(row["null_rate"])}
            yield Figure(name="absorbed", value=float(row["rate"]), unit="fraction", case=case, **errors, **n)
        if row["definition"] == DEFINITIONS[0]:
            level = {"level": int(row["level"])}
            error = None if pd.isna(row["n_main_error"]) else float(row["n_main_error"])
            yield Figure(
                name="latents a concept", value=float(row["n_main"]), unit="latents", se=error, case=level, **n
            )


def baselines(run: Run) -> Iterator[Figure]:
    """L0 and FVU of the nested SAE and of the independent ones, by width, on the rows each was calibrated on."""
    independent = independent_runs(run)
    for sae, records in (
        ("nested", run.sae.recorded if independent else ()),
        ("independent", [level for one in independent.values() if one.is_finished for level in one.sae.recorded]),
    ):
        for level in records:
            case = {"SAE": sae, "width": level.width}
            yield Figure(name="held-out L0", value=level.l0, unit="latents a token", n=1, of="runs", case=case)
            yield Figure(name="held-out FVU", value=level.fvu, unit="fraction of variance", n=1, of="runs", case=case)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
