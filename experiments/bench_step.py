"""How long a training step takes, against the one product it cannot do without, and against the peers.

    make bench                                    # the setting of the README's table
    python experiments/bench_step.py --scaling    # how the cost grows with batch, d_in and d_sae
    python experiments/bench_step.py --d-in 256 --widths 256 1024 --batch 1024 --no-peers

Everything is measured in one run, in turn, on the same machine; the product is measured before and after. The peers run
in their own environments (`make bench-peers` makes them) on the same data. A JSON file with every number lies beside.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.table import Table

import msae
from msae.activations.synthetic import SyntheticForest
from msae.sae.kernels.scan import has_numba

ROOT = Path(__file__).parent.parent
PEERS = {"sae-lens": "sae_lens_step.py", "dictionary-learning": "dictionary_learning_step.py"}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is measured. Medians over `steps` steps after a few to warm up."""

    d_in: int = 512
    widths: tuple[int, ...] = (1024, 2048, 4096, 8192, 16384)
    k: int = 32
    batch: int = 2048
    steps: int = 15
    threads: int = torch.get_num_threads()
    peers: bool = True
    scaling: bool = False
    memory_only: bool = False
    json: Path = Path("bench_step.json")


def main(bench: Bench) -> None:
    torch.set_num_threads(bench.threads)
    if bench.memory_only:
        return train_a_little(bench)
    rows = activations(bench, 4 * bench.batch)
    batches = rows.split(bench.batch)
    product = product_seconds(bench, batches)
    times = {
        "msae, nested": step_seconds(bench, batches, msae.FixedPrefixes(bench.widths)),
        "msae, one level": step_seconds(bench, batches, msae.Unnested()),
        "msae, nested, AuxK with 20% dead": step_seconds(bench, batches, msae.FixedPrefixes(bench.widths), dead=0.2),
        "msae, nested, reference kernel": step_seconds(
            bench, batches, msae.FixedPrefixes(bench.widths), kernel="reference", steps=3
        ),
    }
    if bench.peers:
        times |= peers_seconds(bench)
    again = product_seconds(bench, batches)
    show(bench, (product + again) / 2, times)
    results = {"machine": machine(bench), "product": [product, again], "step": times, "memory": memory(bench)}
    if bench.scaling:
        results["scaling"] = scaling(bench)
    bench.json.write_text(json.dumps(results, indent=2))
    print(f"Every number is in {bench.json}.")


def activations(bench: Bench, n_rows: int) -> torch.Tensor:
    """Sparse sums of directions, as real activations are, so that thresholds and candidates are realistic."""
    forest = SyntheticForest(d_in=bench.d_in, n_roots=bench.d_in, root_rate=0.02, noise_std=0.1)
    return forest.sample(n_rows, seed=0)[0]


def product_seconds(bench: Bench, batches: tuple[torch.Tensor, ...]) -> float:
    """The encoder's forward product in float32, by itself."""
    W = torch.randn(bench.widths[-1], bench.d_in)
    return median(lambda i: batches[i % len(batches)] @ W.T, bench.steps)


def step_seconds(
    bench: Bench,
    batches: tuple[torch.Tensor, ...],
    nesting: object,
    *,
    kernel: str = "auto",
    dead: float = 0.0,
    steps: int | None = None,
) -> float:
    """A whole `Trainer.step`: losses, gradients, clipping, Adam, renormalisation."""
    step = trainer(bench, batches, nesting, kernel, dead).step
    return median(lambda i: step(batches[i % len(batches)]), steps or bench.steps)


def trainer(
    bench: Bench, batches: tuple[torch.Tensor, ...], nesting: object, kernel: str = "auto", dead: float = 0.0
) -> msae.Trainer:
    sae = msae.SparseAutoencoder(bench.d_in, bench.widths[-1], msae.BatchTopK(k=bench.k), nesting)  # type: ignore[arg-type]
    config = msae.TrainConfig(
        n_tokens=10**9,
        batch_size=bench.batch,
        kernel=kernel,  # type: ignore[arg-type]
        auxk_alpha=1 / 32 if dead else 0.0,
        dead_after_tokens=1,
    )
    out = msae.Trainer(sae, config, torch.cat(batches), reservoir_rows=0)
    if dead:
        share = torch.rand(sae.d_sae, generator=torch.Generator().manual_seed(0)) < dead
        out.silence.dead = lambda: share  # type: ignore[method-assign]
        out.steps_done = 1
    return out


def peers_seconds(bench: Bench) -> dict[str, float]:
    """The peers' own trainers at the same sizes, each in its environment; those that are not there are named."""
    out = {}
    for peer, script in PEERS.items():
        python = ROOT / ".venv-peers" / peer / "bin" / "python"
        if not python.exists():
            print(f"{peer}: not measured, .venv-peers/{peer} is not there (make bench-peers)", file=sys.stderr)
            continue
        print(f"measuring {peer} ...", file=sys.stderr)
        shape = ["--widths", *bench.widths, "--k", bench.k, "--batch", bench.batch, "--threads", bench.threads]
        command = [python, ROOT / "experiments/peers" / script, *shape, "--d-in", bench.d_in, "--steps", 5]
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            done = subprocess.run(
                [str(word) for word in (*command, "--out", file.name)], capture_output=True, text=True
            )
            if done.returncode:
                raise SystemExit(f"{peer} failed:\n{done.stderr[-2000:]}")
            result = json.loads(Path(file.name).read_text())
        out[f"{peer} {result['version']}"] = result["median_seconds"]
    return out


def scaling(bench: Bench) -> list[dict[str, float]]:
    """Seconds a step, nested, as one of batch, d_in and d_sae grows and the others stay small."""
    base = {"batch": 1024, "d_in": 256, "d_sae": 8192}
    grid = {
        "batch": (512, 1024, 2048, 4096),
        "d_in": (128, 256, 512, 1024),
        "d_sae": (8192, 16384, 32768, 65536, 131072),
    }
    table = Table("batch", "d_in", "d_sae", "ms a step", "ns per batch · d_in · d_sae", title="Growth")
    out = []
    for name, values in grid.items():
        for value in values:
            size = base | {name: value}
            widths = tuple(size["d_sae"] >> shift for shift in (4, 3, 2, 1, 0))
            small = Bench(
                d_in=size["d_in"], widths=widths, batch=size["batch"], k=bench.k, steps=7, threads=bench.threads
            )
            batches = activations(small, 4 * small.batch).split(small.batch)
            seconds = step_seconds(small, batches, msae.FixedPrefixes(widths))
            work = size["batch"] * size["d_in"] * size["d_sae"]
            table.add_row(*(f"{size[key]:,}" for key in base), f"{1e3 * seconds:.1f}", f"{1e9 * seconds / work:.4f}")
            out.append({**size, "seconds": seconds})
    Console().print(table)
    return out


def memory(bench: Bench) -> dict[str, float]:
    """Peak resident memory of a process that only trains, against parameters + gradients + moments + one block."""
    parameters = 4 * (2 * bench.d_in * bench.widths[-1] + 2 * bench.widths[-1] + bench.d_in)
    block = 4 * bench.batch * bench.widths[-1]
    if not Path("/proc/self/status").exists():
        print("memory: not measured, /proc is not there")
        return {}
    sizes = ["--d-in", bench.d_in, "--widths", *bench.widths, "--k", bench.k, "--batch", bench.batch]
    command = [sys.executable, __file__, "--memory-only", "--threads", bench.threads, *sizes]
    peak = float(subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout)
    bound = 4 * parameters + block
    print(
        f"memory: {peak / 1e6:,.0f} MB above an idle process, {peak / bound:.2f} x (parameters, gradients, Adam's "
        f"moments and one block of {bench.batch:,} x {bench.widths[-1]:,}: {bound / 1e6:,.0f} MB)"
    )
    return {"peak": peak, "bound": bound}


def train_a_little(bench: Bench) -> None:
    """Print by how many bytes the peak of this process grows while it trains at the bench's sizes."""
    small = Bench(d_in=64, widths=(64, 256), batch=256, k=8)
    rows = torch.randn(1024, small.d_in).split(small.batch)
    trainer(small, rows, msae.FixedPrefixes(small.widths)).step(rows[0])
    rows = torch.randn(2 * bench.batch, bench.d_in).split(bench.batch)
    idle = peak_bytes()
    step = trainer(bench, rows, msae.FixedPrefixes(bench.widths)).step
    for i in range(6):
        step(rows[i % 2])
    print(peak_bytes() - idle)


def peak_bytes() -> int:
    """Most memory resident since this process began; `ru_maxrss` would still hold its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def median(run: Callable[[int], object], steps: int) -> float:
    for i in range(3):
        run(i)
    seconds = []
    for i in range(steps):
        start = time.perf_counter()
        run(i)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def show(bench: Bench, product: float, times: dict[str, float]) -> None:
    ours = times["msae, nested"]
    table = Table(
        title=f"d_in {bench.d_in}, levels {bench.widths}, k {bench.k}, batch {bench.batch}, {machine(bench)['cpu']}"
    )
    for heading in ("", "ms a step", "x encoder product", "x msae"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row("encoder product alone, float32", f"{1e3 * product:.1f}", "1.00", "")
    for name, seconds in times.items():
        table.add_row(name, f"{1e3 * seconds:.1f}", f"{seconds / product:.2f}", f"{seconds / ours:.2f}")
    Console(width=120).print(table)
    print(f"{len(bench.widths)} levels against one: {ours / times['msae, one level']:.3f}")
    if not torch.cuda.is_available():
        print("No GPU here: no GPU figure was taken.")


def machine(bench: Bench) -> dict[str, str | int | bool]:
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        cpu = next(
            line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        )
    return {
        "cpu": cpu,
        "threads": bench.threads,
        "bf16 tiles": torch.cpu._is_amx_tile_supported(),
        "numba": has_numba(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main(tyro.cli(Bench, description=__doc__))
