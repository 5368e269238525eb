"""What does nesting do to absorption and splitting? Five kinds of SAE, two L0s, three seeds, measured on unseen text.

    python experiments/studies/absorption.py --out runs/absorption-study

Nested with fixed prefixes (equal and balanced weights) and with sampled ones, and plain BatchTopK and TopK, of one
width, on the same tokens in the same order, from the residual stream of the model that ships with msae. The levels have
the shares of the published SAEs (Bussmann et al. 2025, arXiv:2503.17547): 1/32, 3/32, 7/32, 15/32 and all latents.

A run is a folder under ``runs/``, and its figures a line each of ``whole.jsonl``, ``unlabelled.jsonl`` and
``labelled.jsonl``; what is there is not made again. ``absorption.json`` has the means. Absorption, splits and probes
are those of the latents without their levels, so that nested and plain SAEs answer the same questions.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.progress import track

import msae
import msae.demo
from experiments.lib.journal import Journal
from experiments.lib.machine import in_a_line, machine
from experiments.lib.results import record
from experiments.studies import absorption_cell, absorption_results
from msae.activations.manifest import MANIFEST
from msae.data.documents import Documents
from msae.plots.theme import write_html
from msae.sae import Nesting
from msae.sae.activation_fns import ActivationFunction
from msae.studies.demo import TRAIN_EXCERPT, excerpts

QUESTION = "What does nesting do to absorption and splitting?"
SHARES = (1, 3, 7, 15, 32)
SIZES = ("d_sae", "train_tokens", "test_tokens", "unlabelled_tokens", "ce_tokens")
KINDS = ("fixed", "balanced", "sampled", "batchtopk", "topk")
PARTS = {part.__name__: part for part in (absorption_cell.whole, absorption_cell.unlabelled, absorption_cell.labelled)}


@dataclass(frozen=True, kw_only=True)
class Study:
    """Sizes are in tokens. `ks`: the L0s asked for. `test_tokens`: of unseen text; labels are measured on all of them,
    what needs no labels on the first `unlabelled_tokens`, and cross-entropies on `ce_tokens` of `ce_holdout` others.
    `excerpt`: characters taken of each document.
    """

    out: Path
    layer: int = 3
    d_sae: int = 1024
    kinds: tuple[str, ...] = KINDS
    ks: tuple[int, ...] = (8, 24)
    seeds: tuple[int, ...] = (0, 1, 2)
    harvest_tokens: int = 500_000
    train_tokens: int = 1_500_000
    batch_size: int = 2048
    excerpt: int = TRAIN_EXCERPT
    test_tokens: int = 200_000
    unlabelled_tokens: int = 100_000
    ce_holdout: int = 8_192
    ce_tokens: int = 4_096


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One SAE, and what it was measured on."""

    kind: str
    k: int
    seed: int
    d_sae: int
    train_tokens: int
    test_tokens: int
    unlabelled_tokens: int
    ce_tokens: int


def main(study: Study) -> None:
    source = msae.TransformerLensSource(msae.demo.model_path(), layer=study.layer)
    runs = train(study, store(source, study, "train", study.harvest_tokens))
    measured = measure(study, source, runs)
    for k in study.ks:
        Console(width=150).print(absorption_results.table(measured, k))
    print(in_a_line(machine()))
    write_html(absorption_results.figure(measured), study.out / "absorption.html")
    record(
        study.out / "absorption.json",
        __file__,
        question=QUESTION,
        figures=absorption_results.figures(measured),
        seeds=study.seeds,
        settings={name: value for name, value in asdict(study).items() if name != "out"},
        packages=("transformer-lens",),
    )


def train(study: Study, rows: msae.ActivationStore) -> dict[Cell, msae.Run]:
    """Every SAE of the study, those of one seed from one reading of the store."""
    for seed in study.seeds:
        saes = {f"{kind}-{k}": new_sae(kind, k, seed, rows.d_in, study) for k in study.ks for kind in study.kinds}
        path = study.out / "runs" / str(seed)
        if not all(msae.Run(path / name).is_finished for name in saes):
            config = msae.TrainConfig(n_tokens=study.train_tokens, batch_size=study.batch_size, seed=seed)
            msae.train_many(saes, rows, config, path)
    return {cell: msae.Run(study.out / "runs" / str(cell.seed) / f"{cell.kind}-{cell.k}") for cell in cells(study)}


def measure(study: Study, source: msae.TransformerLensSource, runs: dict[Cell, msae.Run]) -> list[dict[str, Any]]:
    """The figures of every cell."""
    test = store(source, study, "heldout", study.test_tokens)
    sample = absorption_cell.Sample(
        store=test, source=source, unlabelled_tokens=study.unlabelled_tokens, ce_tokens=study.ce_tokens
    )
    journals = {
        part: Journal(study.out / f"{part}.jsonl", lambda cell, of=of: of(runs[cell].sae, sample))
        for part, of in PARTS.items()
    }
    return [
        {"cell": asdict(cell), **{part: journal(cell) for part, journal in journals.items()}}
        for cell in track(list(runs), "measure", console=Console(stderr=True))
    ]


def cells(study: Study) -> list[Cell]:
    sizes = {name: getattr(study, name) for name in SIZES}
    return [
        Cell(kind=kind, k=k, seed=seed, **sizes)
        for seed, k, kind in itertools.product(study.seeds, study.ks, study.kinds)
    ]


def store(source: msae.TransformerLensSource, study: Study, split: str, n_tokens: int) -> msae.ActivationStore:
    """Activations of one split's text."""
    path = study.out / ("acts" if split == "train" else "test")
    if (path / MANIFEST).is_file():
        return msae.ActivationStore.open(path)
    documents: Documents = excerpts(msae.demo.documents(split), study.excerpt)  # type: ignore[arg-type]
    holdout = None if split == "train" else study.ce_holdout
    return msae.harvest(source, documents, n_tokens=n_tokens, path=path, holdout_tokens=holdout)


def new_sae(kind: str, k: int, seed: int, d_in: int, study: Study) -> msae.SparseAutoencoder:
    fn: ActivationFunction = msae.TopK(k=k) if kind == "topk" else msae.BatchTopK(k=k)
    return msae.SparseAutoencoder(d_in, study.d_sae, fn, nesting(kind, study.d_sae), seed=seed)


def nesting(kind: str, d_sae: int) -> Nesting:
    widths = tuple(d_sae * share // SHARES[-1] for share in SHARES)
    match kind:
        case "fixed":
            return msae.FixedPrefixes(widths)
        case "balanced":
            return msae.FixedPrefixes(widths, level_weights="balanced")
        case "sampled":
            return msae.SampledPrefixes(n=len(widths), widths=widths)
        case _:
            return msae.Unnested()


if __name__ == "__main__":
    main(tyro.cli(Study, description=__doc__))
