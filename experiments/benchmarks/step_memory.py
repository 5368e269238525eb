"""How much memory a training step takes, measured in a process that does nothing else.

python experiments/benchmarks/step_memory.py --setting.d-in 512 --setting.batch 2048
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch
import tyro

from experiments.benchmarks.timed_step import Setting, batches_of_activations, step

BLOCK_NUMBERS = 1 << 21
STATUS = Path("/proc/self/status")
ROOT = Path(__file__).parents[2]


def main(setting: Setting, dead: float = 0.0) -> None:
    """Print, as JSON, by how many bytes the peak of this process grows while it trains, and the peak itself."""
    torch.set_num_threads(setting.threads)
    # What torch, numba and the threads need whatever the sizes are, is there before the sizes are.
    small = Setting(d_in=64, widths=(64, 256), batch=256, k=8, threads=setting.threads)
    step(small, batches_of_activations(small), dead=dead)(0)
    batches = torch.randn(2 * setting.batch, setting.d_in).split(setting.batch)
    idle = peak_bytes()
    run = step(setting, batches, dead=dead)
    for i in range(6):
        run(i)
    print(json.dumps({"training": peak_bytes() - idle, "process": peak_bytes()}))


def measure_memory(setting: Setting, dead: float = 0.0) -> dict[str, float]:
    """Peak resident bytes of training, and what it is compared with; nothing where there is no /proc."""
    if not STATUS.exists():
        print("Memory was not measured: /proc is not there.")
        return {}
    sizes = {"d-in": setting.d_in, "k": setting.k, "batch": setting.batch, "threads": setting.threads}
    command = [
        sys.executable,
        "-m",
        "experiments.benchmarks.step_memory",
        "--dead",
        dead,
        "--setting.widths",
        *setting.widths,
    ]
    command += [word for name, value in sizes.items() for word in (f"--setting.{name}", value)]
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=True)
    parameters = 2 * setting.d_in * setting.d_sae + 2 * setting.d_sae + setting.d_in
    return {
        **json.loads(done.stdout),
        "parameters, gradients, moments": 16 * parameters,
        "block": 4 * min(BLOCK_NUMBERS, setting.batch * setting.d_sae),
        "batch x d_sae": 4 * setting.batch * setting.d_sae,
    }


def show_memory(setting: Setting) -> dict[str, dict[str, float]]:
    """Print what `measure_memory` finds, without and with AuxK."""
    found = {}
    for name, dead in (("training", 0.0), ("training, AuxK with 20% dead", 0.2)):
        if not (bytes_of := measure_memory(setting, dead)):
            break
        found[name] = bytes_of
        peak, state = bytes_of["training"], bytes_of["parameters, gradients, moments"]
        block, whole = bytes_of["block"], bytes_of["batch x d_sae"]
        print(
            f"Memory, {name}: {peak / 1e6:,.0f} MB above an idle process, {bytes_of['process'] / 1e6:,.0f} MB in all. "
            f"That is {peak / (state + block):.2f} x (parameters, gradients, Adam's moments and the block of "
            f"pre-activations held, {block / 1e6:.0f} MB), or {peak / (state + whole):.2f} x the same with one block "
            f"of batch x d_sae, {whole / 1e6:,.0f} MB."
        )
    return found


def peak_bytes() -> int:
    """Most memory resident since this process began; `ru_maxrss` would still hold its parent's."""
    lines = STATUS.read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
