"""Which settings? Learning rate × size × batch × length of run, then schedule, AuxK and Adam around the best of them.

    python experiments/studies/training.py --out runs/training-study --threads 1    # on one core
    python experiments/studies/training.py --out runs/training-study --rows rows.safetensors --rows-k 32

Sources: residual activations of the model that ships with msae, rows of a synthetic forest with rare features, and,
with `--rows`, any file with `x` and `heldout`. Every cell is one SAE with three levels (d_sae / 16, d_sae / 4, d_sae),
and its score the mean of the levels' held-out FVU at L0 = k.

1. *Rates*: for every source, size, batch and length, learning rates a factor of two apart, walking from the default
   towards lower FVU until the best of them has a worse one on either side.
2. *Rule*: lr = c · d_sae^a · batch^b · steps^s, fitted to the vertices of the parabolas through the three best rates,
   each weighted by its curvature. Beside it, what `default_lr` as it stands loses against the best of the grid.
3. *Around it*: every other setting changed by itself, at the default rate (the schedule also at twice and half of it).
4. *AuxK*: in every step, every second, every fourth, and never, at the default rate, twice and half of it.

A cell's result is a line of `cells.jsonl` as soon as it is there; a cell that has its line is not trained again.
`training.json` has every figure.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from safetensors.torch import load_file
from torch import Tensor

import msae
import msae.demo
from experiments.lib.journal import Journal
from experiments.lib.results import record
from experiments.studies import training_results
from experiments.studies.rate_search import Cell, Search, fit, octave, search
from experiments.studies.training_results import default_rate
from msae.core.files import write_tensors
from msae.core.rng import torch_stream
from msae.plots.theme import write_html

QUESTION = "Which learning rate, schedule and AuxK?"
FOREST = msae.SyntheticForest(
    d_in=128,
    n_roots=128,
    root_rate=tuple(min(0.5, 1.1 / (root + 1)) for root in range(128)),
    branching=(4, 4),
    magnitude_std=0.3,
    noise_std=0.02,
)
DEMO_K, FOREST_K = 12, 13
DEAD_ROWS = 1 << 15


@dataclass(frozen=True, kw_only=True)
class Study:
    """`tokens`, `batches`, `sizes`: the grid. `lengths`: further lengths of run, at the middle batch.

    `source_rows`: rows each source holds; longer runs go over them again. `long_up_to`: the largest d_sae that is
    trained for more than `tokens`.
    """

    out: Path
    sizes: tuple[int, ...] = (256, 1024, 4096)
    batches: tuple[int, ...] = (256, 1024, 4096)
    tokens: int = 150_000
    lengths: tuple[int, ...] = (600_000,)
    long_up_to: int = 1024
    source_rows: int = 300_000
    sources: tuple[Literal["demo", "forest"], ...] = ("demo", "forest")
    rows: Path | None = None
    rows_k: int = 32
    rates: bool = True
    around: bool = True
    auxk: bool = True
    threads: int = torch.get_num_threads()


@dataclass(frozen=True, kw_only=True)
class Rows:
    x: Tensor
    heldout: Tensor
    k: int


class ShapedTrainer(msae.Trainer):
    """A trainer whose decay is not a straight line."""

    shape: Callable[[float], float] = staticmethod(lambda left: left)

    @property
    def lr(self) -> float:
        return self.peak_lr * self.shape(super().lr / self.peak_lr) if self._decaying else super().lr

    @property
    def _decaying(self) -> bool:
        return self.steps_done > self.config.n_steps * (1 - self.config.decay_fraction)


SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda left: left,
    "cosine": lambda left: 0.5 * (1 - math.cos(math.pi * left)),
    "1-sqrt": lambda left: 1 - math.sqrt(1 - left),
}


def main(study: Study) -> None:
    torch.set_num_threads(study.threads)
    sources = load_sources(study)
    train = Journal(study.out / "cells.jsonl", lambda cell: train_cell(cell, sources[cell.source]))
    searches: list[Search] = []
    around: list[dict[str, Any]] = []
    auxk: list[dict[str, Any]] = []
    if study.rates:
        searches = [search(train, start) for start in starts(study, sources)]
        training_results.show_searches(searches)
        training_results.show_rule(fit(searches), searches)
        write_html(training_results.rates_figure(searches), study.out / "training.html")
    if study.around:
        around = vary(train, study, sources)
        training_results.show_around(around)
    if study.auxk:
        auxk = vary_auxk(train, study, sources)
        training_results.show_auxk(auxk)
    record(
        study.out / "training.json",
        __file__,
        question=QUESTION,
        figures=training_results.figures(searches, around, auxk),
        seeds=(0,),
        settings={name: value for name, value in vars(study).items() if name != "out"},
        threads=study.threads,
    )


def load_sources(study: Study) -> dict[str, Rows]:
    """Every source's rows, drawn or harvested once and then read from the folder."""
    out = {}
    for name in study.sources:
        path = study.out / f"{name}.safetensors"
        if not path.exists():
            write_tensors(path, demo_rows(study) if name == "demo" else forest_rows(study))
        out[name] = Rows(**load_file(path), k=DEMO_K if name == "demo" else FOREST_K)
    if study.rows is not None:
        tensors = load_file(study.rows)
        out[study.rows.stem] = Rows(x=tensors["x"], heldout=tensors["heldout"], k=study.rows_k)
    return out


def demo_rows(study: Study) -> dict[str, Tensor]:
    source = msae.TransformerLensSource(msae.demo.model_path(), layer=3)
    store = msae.harvest(source, msae.demo.documents("train"), n_tokens=study.source_rows, path=study.out / "acts")
    assert store.holdout is not None
    return {"x": store.rows(0, store.n_rows), "heldout": store.holdout.rows(0, store.holdout.n_rows)}


def forest_rows(study: Study) -> dict[str, Tensor]:
    """Drawn in pieces: the true codes of all rows would fill the memory."""
    pieces = itertools.islice(FOREST.batches(4096, seed=0), -(-study.source_rows // 4096))
    return {"x": torch.cat(list(pieces)), "heldout": FOREST.sample(16_384, seed=0, stream="heldout")[0]}


def train_cell(cell: Cell, rows: Rows) -> dict[str, Any]:
    """FVU and L0 of every level on held-out rows at L0 = k; `dead`: share of latents silent on 32,768 training rows."""
    sae = msae.SparseAutoencoder(rows.x.shape[1], cell.d_sae, msae.BatchTopK(k=rows.k), nesting(cell.d_sae))
    config = msae.TrainConfig(
        n_tokens=cell.tokens,
        batch_size=cell.batch,
        lr=cell.lr,
        warmup_fraction=cell.warmup,
        decay_fraction=cell.decay,
        beta1=cell.beta1,
        beta2=cell.beta2,
        auxk_alpha=cell.auxk_alpha,
        auxk_every=cell.auxk_every,
        auxk_residual=cell.auxk_residual,
        dead_after_tokens=max(1, round(cell.dead_after * cell.tokens)),
        grad_clip=cell.grad_clip,
    )
    started = time.process_time()
    trainer = ShapedTrainer(sae, config, rows.x, reservoir_rows=0)
    trainer.shape = SHAPES[cell.shape]
    try:
        for x in itertools.islice(shuffled(rows.x, cell.batch), config.n_steps):
            trainer.step(x)
        sae = trainer.finish(rows.heldout)
    except msae.MsaeError as error:
        return {"failed": str(error), "score": None}
    levels = sae.recorded
    return {
        "score": sum(level.fvu for level in levels) / len(levels),
        "fvu": [level.fvu for level in levels],
        "l0": [level.l0 for level in levels],
        "dead": dead_share(sae, rows.x[:DEAD_ROWS]),
        "cpu_seconds": time.process_time() - started,
    }


def nesting(d_sae: int) -> msae.FixedPrefixes:
    return msae.FixedPrefixes((d_sae // 16, d_sae // 4, d_sae))


def shuffled(x: Tensor, batch: int) -> Iterator[Tensor]:
    """Endless batches, each epoch in an order of its own that does not depend on the batch."""
    for epoch in itertools.count():
        order = torch.randperm(len(x), generator=torch_stream(0, f"training study/{epoch}"))
        for index in order[: len(x) // batch * batch].split(batch):
            yield x[index].float()


@torch.no_grad()
def dead_share(sae: msae.SparseAutoencoder, x: Tensor) -> float:
    fired = torch.zeros(sae.d_sae, dtype=torch.bool)
    for chunk in x.split(4096):
        fired[sae.encode(chunk.float()).latent] = True
    return (~fired).float().mean().item()


def starts(study: Study, sources: dict[str, Rows]) -> list[Cell]:
    """Every source, size, batch and length, each at the power of two next to the default rate."""
    middle = sorted(study.batches)[len(study.batches) // 2]
    runs = [(batch, study.tokens) for batch in study.batches] + [(middle, tokens) for tokens in study.lengths]
    return [
        Cell(source=source, d_sae=d_sae, batch=batch, tokens=tokens, lr=octave(default_rate(d_sae, batch, tokens)))
        for d_sae, (batch, tokens), source in itertools.product(study.sizes, runs, sources)
        if tokens <= study.tokens or d_sae <= study.long_up_to
    ]


SCHEDULES: tuple[dict[str, Any], ...] = (
    {"warmup": 0.0},
    {"warmup": 0.05},
    {"decay": 0.0},
    {"decay": 0.5},
    {"decay": 0.8},
    {"decay": 0.5, "shape": "1-sqrt"},
    {"decay": 0.8, "shape": "cosine"},
)
OTHERS: tuple[dict[str, Any], ...] = (
    {"auxk_alpha": 0.0},
    {"auxk_alpha": 1 / 8},
    {"auxk_alpha": 1 / 2},
    {"dead_after": 0.01},
    {"dead_after": 0.1},
    {"auxk_residual": "full"},
    {"beta1": 0.5},
    {"beta2": 0.99},
    {"grad_clip": 10.0},
)


def vary(train: Callable[[Cell], dict[str, Any]], study: Study, sources: dict[str, Rows]) -> list[dict[str, Any]]:
    """Every setting changed by itself: by what fraction the score moves, and the share of dead latents, by cell."""
    batch = sorted(study.batches)[len(study.batches) // 2]
    out: list[dict[str, Any]] = []
    for source, d_sae in itertools.product(sources, study.sizes):
        lr = default_rate(d_sae, batch, study.tokens)
        base = Cell(source=source, d_sae=d_sae, batch=batch, tokens=study.tokens, lr=lr)
        reference = best_of(train, base, (0.5, 1, 2))
        out.append({"source": source, "d_sae": d_sae, "changed": {}, "change": 0.0, "dead": train(base)["dead"]})
        for changed in (*SCHEDULES, *OTHERS):
            factors = (0.5, 1, 2) if changed in SCHEDULES else (1,)
            against = reference if changed in SCHEDULES else train(base)
            result = best_of(train, replace(base, **changed), factors)
            change = result["score"] / against["score"] - 1
            out.append({"source": source, "d_sae": d_sae, "changed": changed, "change": change, "dead": result["dead"]})
    return out


AUXK: dict[str, dict[str, Any]] = {
    "never": {"auxk_alpha": 0.0},
    "every step": {"auxk_every": 1},
    "every 2nd": {"auxk_every": 2},
    "every 4th": {"auxk_every": 4},
}


def vary_auxk(train: Callable[[Cell], dict[str, Any]], study: Study, sources: dict[str, Rows]) -> list[dict[str, Any]]:
    """AuxK in all, some, or no steps, at the default rate, twice and half of it: more latents die at a higher one."""
    batch = sorted(study.batches)[len(study.batches) // 2]
    out: list[dict[str, Any]] = []
    for source, d_sae, factor in itertools.product(sources, study.sizes, (0.5, 1, 2)):
        lr = factor * default_rate(d_sae, batch, study.tokens)
        cell = Cell(source=source, d_sae=d_sae, batch=batch, tokens=study.tokens, lr=lr)
        found = {name: train(replace(cell, **changed)) for name, changed in AUXK.items()}
        figures = {name: {"score": result["score"], "dead": result.get("dead")} for name, result in found.items()}
        out.append({"source": source, "d_sae": d_sae, "lr": lr, "by_auxk": figures})
    return out


def best_of(train: Callable[[Cell], dict[str, Any]], cell: Cell, factors: tuple[float, ...]) -> dict[str, Any]:
    results = [train(replace(cell, lr=cell.lr * factor)) for factor in factors]
    return min((result for result in results if result["score"] is not None), key=lambda result: result["score"])


if __name__ == "__main__":
    main(tyro.cli(Study, description=__doc__))
