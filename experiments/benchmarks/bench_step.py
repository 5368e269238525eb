"""How long a training step takes, against the one product it cannot do without, and against the peers.

    make bench                                               # the published setting
    python experiments/benchmarks/bench_step.py --profile    # and where the time goes
    python experiments/benchmarks/bench_step.py --scaling    # and how the cost grows with batch, d_in and d_sae
    python experiments/benchmarks/bench_step.py --device cuda    # a GPU's step, its limits, the peers on the card
    python experiments/benchmarks/bench_step.py --setting.d-in 256 --setting.widths 256 1024 --no-peers

Steps and product are measured in turn, round after round, and every ratio is the median of the rounds' own: so it holds
on a machine that is busy with something else too (`interleaved`). The peers run in their own environments (`make
bench-peers` makes them) on batches of the same size, and measure the product in turn with their steps as well.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

import msae
from experiments.benchmarks.step_memory import show_memory
from experiments.benchmarks.step_on_gpu import GPU_SETTING, NOTHING_TAKEN, measure_on_gpu
from experiments.benchmarks.step_profile import show_profile
from experiments.benchmarks.step_results import (
    gpu_figures,
    growth_figures,
    memory_figures,
    profile_figures,
    step_figures,
)
from experiments.benchmarks.timed_step import Setting, batches_of_activations, product, product_anew, step
from experiments.lib.interleaved import Work, interleaved, ratio
from experiments.lib.machine import processor
from experiments.lib.results import Figure, record

ROOT = Path(__file__).parents[2]
QUESTION = "How long does a training step take?"
PEERS = {"sae-lens": "sae_lens_step.py", "dictionary-learning": "dictionary_learning_step.py"}
PRODUCT, PRODUCT_ANEW = "encoder product alone", "the same into new memory, as x @ W makes it"
NESTED, ONE_LEVEL = "msae, nested", "msae, one level"
WITH_AUXK, REFERENCE = "msae, nested, a step with AuxK, 20% dead", "msae, nested, reference kernel"
GROWTH = {
    "batch": (512, 1024, 2048, 4096, 8192),
    "d_in": (128, 256, 512, 1024, 2048),
    "d_sae": (8192, 16384, 32768, 65536, 131072),
}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is measured."""

    setting: Setting = field(default_factory=Setting)
    device: Literal["cpu", "cuda"] = "cpu"
    """With cuda: the sizes of a large SAE unless others are given, and the limits of the card."""
    rounds: int = 15
    """Rounds measured, after a few to warm up."""
    peers: bool = True
    """Measure sae-lens and dictionary-learning where their environments exist."""
    profile: bool = False
    """Also print where a step's time goes."""
    scaling: bool = False
    """Also print how the cost grows with each size (minutes)."""
    results: Path | None = None
    """Write every figure there (JSON)."""


def main(bench: Bench) -> None:
    setting = bench.setting
    torch.set_num_threads(setting.threads)
    if bench.device == "cuda":
        return measure_gpu(bench)
    batches = batches_of_activations(setting)
    rows = measure_steps(bench, batches)
    if bench.peers:
        rows |= measure_peers(setting)
    show(setting, rows)
    found = step_figures(rows)
    if bench.profile:
        work = {NESTED: step(setting, batches), WITH_AUXK: step(setting, batches, dead=0.2)}
        profiles = {name: show_profile(run, product(setting, batches), name) for name, run in work.items()}
        found += [figure for name, profile in profiles.items() for figure in profile_figures(name, profile)]
    found += memory_figures(show_memory(setting))
    if bench.scaling:
        found += growth_figures([show_growth(setting, name) for name in GROWTH])
    print("A GPU is measured with --device cuda." if torch.cuda.is_available() else NOTHING_TAKEN)
    save(found, bench)


def measure_gpu(bench: Bench) -> None:
    setting = GPU_SETTING if bench.setting == Setting() else replace(bench.setting, device="cuda")
    if results := measure_on_gpu(setting):
        ours = statistics.median(results["steps"]["msae, nested"]["seconds"])
        peers = measure_peers(setting) if bench.peers else {}
        for name, row in peers.items():
            print(f"{name}: {1e3 * row['median_seconds']:.1f} ms a step, {row['median_seconds'] / ours:.1f} x msae")
        save(gpu_figures(results, peers), bench)


def save(found: Sequence[Figure], bench: Bench) -> None:
    if bench.results:
        settings = {**vars(bench.setting), "rounds": bench.rounds}
        packages, threads = ("numba", "numpy"), bench.setting.threads
        record(
            bench.results,
            __file__,
            question=QUESTION,
            figures=found,
            settings=settings,
            packages=packages,
            threads=threads,
        )


def measure_steps(bench: Bench, batches: tuple[torch.Tensor, ...]) -> dict[str, dict[str, Any]]:
    """By name, what `as_row` makes of each step's seconds."""
    setting = bench.setting
    products = {PRODUCT: product(setting, batches), PRODUCT_ANEW: product_anew(setting, batches)}
    steps = {
        NESTED: step(setting, batches),
        ONE_LEVEL: step(setting, batches, msae.Unnested()),
        WITH_AUXK: step(setting, batches, dead=0.2),
    }
    seconds = interleaved(products | steps, bench.rounds)
    every = msae.TrainConfig(n_tokens=setting.batch, batch_size=setting.batch).auxk_every
    rounds = zip(seconds[WITH_AUXK], seconds[NESTED], strict=True)
    seconds[f"the average step, AuxK in 1 of {every}"] = [
        (auxk + (every - 1) * plain) / every for auxk, plain in rounds
    ]
    rows = {name: as_row(taken, seconds[PRODUCT], seconds[NESTED]) for name, taken in seconds.items()}
    # Ten times slower than the others: in rounds of its own, or it would stretch theirs.
    slow = {PRODUCT: products[PRODUCT], REFERENCE: step(setting, batches, kernel="reference")}
    seconds = interleaved(slow, 3, warmup=1)
    return rows | {REFERENCE: as_row(seconds[REFERENCE], seconds[PRODUCT])}


def as_row(seconds: list[float], products: list[float], nested: list[float] | None = None) -> dict[str, Any]:
    """`products`, `nested`: the seconds that those took in the same rounds."""
    return {
        "median_seconds": statistics.median(seconds),
        "to_product": ratio(seconds, products),
        "to_nested": ratio(seconds, nested) if nested else None,
        "seconds": seconds,
    }


def measure_peers(setting: Setting) -> dict[str, dict[str, Any]]:
    """The peers' own trainers at the same sizes, each in its environment; those that are not there are named."""
    out = {}
    for peer, script in PEERS.items():
        python = ROOT / ".venv-peers" / peer / "bin" / "python"
        if not python.exists():
            print(f"{peer}: not measured, .venv-peers/{peer} is not there (make bench-peers)", file=sys.stderr)
            continue
        print(f"measuring {peer} ...", file=sys.stderr)
        shape = ["--d-in", setting.d_in, "--widths", *setting.widths, "--k", setting.k, "--batch", setting.batch]
        command = [python, ROOT / "experiments/peers" / script, *shape, "--threads", setting.threads, "--steps", 7]
        command += ["--device", setting.device, *(["--autocast"] if setting.device != "cpu" else [])]
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            done = subprocess.run(
                [str(word) for word in (*command, "--out", file.name)], capture_output=True, text=True
            )
            if done.returncode:
                raise SystemExit(f"{peer} failed:\n{done.stderr[-2000:]}")
            report = json.loads(Path(file.name).read_text(encoding="utf-8"))
        out[f"{peer} {report['version']}"] = as_row(report["seconds"], report["product_seconds"])
    return out


def show(setting: Setting, rows: dict[str, dict[str, Any]]) -> None:
    ours = rows[NESTED]["to_product"]["median"]
    shape = f"d_in {setting.d_in}, levels {setting.widths}, k {setting.k}, batch {setting.batch}"
    table = Table(title=f"{shape}; {processor()}, {setting.threads} threads")
    for heading in ("", "ms a step", "x product", "half of the rounds", "x msae"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, row in rows.items():
        to = row["to_product"]
        spread = "" if name == PRODUCT else f"{to['low']:.2f} – {to['high']:.2f}"
        figures = (f"{1e3 * row['median_seconds']:.1f}", f"{to['median']:.2f}", spread, f"{to['median'] / ours:.2f}")
        table.add_row(name, *figures)
    Console(width=120).print(table)
    one = rows[ONE_LEVEL]["to_nested"]
    print(
        f"{len(setting.widths)} levels against one: {1 / one['median']:.3f} "
        f"(half of the rounds: {1 / one['high']:.3f} – {1 / one['low']:.3f})"
    )
    if (load := os.getloadavg()[0]) > 1.5 * setting.threads:
        print(f"The machine is busy (load {load:.1f}): ratios hold better than milliseconds.")


def show_growth(setting: Setting, name: str) -> dict[str, Any]:
    """A step's time as one size grows and the others stay small, all sizes measured in turn.

    The exponent is the slope of log seconds against log size: 1 is linear, less means that fixed costs still count.
    """
    sizes, base = GROWTH[name], {"batch": 1024, "d_in": 256, "d_sae": 8192}
    work: dict[str, Work] = {}
    for value in sizes:
        size = base | {name: value}
        widths = tuple(size["d_sae"] >> shift for shift in (4, 3, 2, 1, 0))
        small = replace(setting, d_in=size["d_in"], widths=widths, batch=size["batch"])
        batches = batches_of_activations(small, 2)
        work |= {f"product {value}": product(small, batches), f"{value}": step(small, batches)}
    taken = interleaved(work, 7, warmup=2)
    seconds = [statistics.median(taken[f"{value}"]) for value in sizes]
    exponent, _ = statistics.linear_regression([math.log(size) for size in sizes], [math.log(s) for s in seconds])
    others = ", ".join(f"{other} {value:,}" for other, value in base.items() if other != name)
    table = Table(title=f"Growth with {name} ({others})", caption=f"seconds grow as {name} ^ {exponent:.2f}")
    for heading in (name, "ms a step", "x product", "ps per batch x d_in x d_sae"):
        table.add_column(heading, justify="right")
    rows = []
    for value, second in zip(sizes, seconds, strict=True):
        to_product = ratio(taken[f"{value}"], taken[f"product {value}"])["median"]
        each = 1e12 * second / math.prod((base | {name: value}).values())
        table.add_row(f"{value:,}", f"{1e3 * second:,.1f}", f"{to_product:.2f}", f"{each:.1f}")
        rows.append({**base, name: value, "seconds": second, "to_product": to_product})
    Console().print(table)
    return {"grows": name, "exponent": exponent, "rows": rows}


if __name__ == "__main__":
    main(tyro.cli(Bench, description=__doc__))
