"""Which settings? Learning rate × size × batch × length of run, then schedule, AuxK and Adam around the best of them.

    python experiments/training_study.py --out runs/training-study --threads 1     # on one core
    python experiments/training_study.py --out runs/training-study --rows rows.safetensors --rows-k 32

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
from journal import Journal
from rate_search import Cell, Search, fit, octave, rate_of, search
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from torch import Tensor

import msae
import msae.demo
from msae.core.files import write_json, write_tensors
from msae.core.rng import torch_stream
from msae.plots.curves import Curve, curves_figure
from msae.plots.theme import write_html
from msae.training import default_lr

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
    results: dict[str, Any] = {}
    if study.rates:
        searches = [search(train, start) for start in starts(study, sources)]
        results |= {"rule": fit(searches), "rates": [found.as_dict() for found in searches]}
        show_searches(searches)
        show_rule(results["rule"], searches)
        write_html(figure(searches), study.out / "training_study.html")
    if study.around:
        results["around"] = vary(train, study, sources)
        show_around(results["around"])
    if study.auxk:
        results["auxk"] = vary_auxk(train, study, sources)
        show_auxk(results["auxk"])
    write_json(study.out / "training_study.json", results)


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


def default_rate(d_sae: int, batch: int, tokens: int) -> float:
    return default_lr(d_sae, batch, tokens // batch)


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
        out.append({"source": source, "d_sae": d_sae, "lr": lr, **figures})
    return out


def best_of(train: Callable[[Cell], dict[str, Any]], cell: Cell, factors: tuple[float, ...]) -> dict[str, Any]:
    results = [train(replace(cell, lr=cell.lr * factor)) for factor in factors]
    return min((result for result in results if result["score"] is not None), key=lambda result: result["score"])


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
        default = default_rate(cell.d_sae, cell.batch, cell.tokens)
        loss = found.loss_at(default)
        sizes = (f"{number:,}" for number in (cell.d_sae, cell.batch, cell.steps))
        table.add_row(cell.source, *sizes, *shown, f"{1e3 * default:.2g}e-3", f"{loss:+.1%}")
    Console(width=60 + 9 * (len(rates) + 2)).print(table)


def figure(searches: list[Search]) -> Any:
    """What every cell loses against the best of its rates, by the rate's distance from the default."""
    curves = []
    for found in searches:
        cell, least = found.cell, min(found.scores.values())
        curves.append(
            Curve(
                subject=f"{cell.source}, {cell.d_sae:,}",
                aspect=f"batch {cell.batch:,}, {cell.steps:,} steps",
                x=[lr / default_rate(cell.d_sae, cell.batch, cell.tokens) for lr in found.scores],
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
    shipped = [found.loss_at(default_rate(found.cell.d_sae, found.cell.batch, found.cell.tokens)) for found in searches]
    print(f"the default rate loses {_mean(shipped):.2%} of the FVU on average, {max(shipped):.1%} at most")
    if rule:
        fitted = [found.loss_at(rate_of(rule, found.cell)) for found in searches]
        print(
            f"fitted: {rule['c']:.2e} (d_sae / 4096)^{rule['d_sae']:.2f} (batch / 2048)^{rule['batch']:.2f} "
            f"(steps / 1000)^{rule['steps']:.2f}, which loses {_mean(fitted):.2%} on average, {max(fitted):.1%} at most"
        )


def show_around(around: list[dict[str, Any]]) -> None:
    sizes = sorted({row["d_sae"] for row in around})
    sources = list(dict.fromkeys(row["source"] for row in around))
    columns = list(itertools.product(sources, sizes))
    table = Table(title="Change of the mean FVU when one setting changes, and the share of dead latents")
    for heading in ("", "mean", *(f"{source} {d_sae:,}" for source, d_sae in columns)):
        table.add_column(heading, justify="left" if not heading else "right")
    for changed in ({}, *SCHEDULES, *OTHERS):
        rows = {(row["source"], row["d_sae"]): row for row in around if row["changed"] == changed}
        shown = [f"{rows[column]['change']:+.1%}, {rows[column]['dead']:.1%}" for column in columns]
        name = ", ".join(f"{key} {value:.3g}" if isinstance(value, float) else value for key, value in changed.items())
        mean = _mean([row["change"] for row in rows.values()])
        table.add_row(name or "the defaults", f"{mean:+.2%}", *shown)
    Console(width=40 + 16 * len(columns)).print(table)


def show_auxk(rows: list[dict[str, Any]]) -> None:
    table = Table(title="Mean held-out FVU and the share of dead latents, with AuxK in these steps")
    for heading in ("source", "d_sae", "learning rate", *AUXK):
        table.add_column(heading, justify="right")
    for row in rows:
        found = [row[name] for name in AUXK]
        shown = ["failed" if f["score"] is None else f"{f['score']:.4f}, {f['dead']:.1%}" for f in found]
        table.add_row(row["source"], f"{row['d_sae']:,}", f"{row['lr']:.2g}", *shown)
    Console(width=100).print(table)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main(tyro.cli(Study, description=__doc__))
