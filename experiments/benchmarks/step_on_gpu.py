"""The step on a GPU, against what no step can do without there: the product in bf16, and the optimiser's bytes.

Adam reads parameter, gradient and both moments and writes all but the gradient: 28 bytes a parameter, at the bandwidth
measured with a copy. The product's rate is the card's own, measured in turn with the steps.
"""

from __future__ import annotations

import statistics
import warnings
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import msae
from experiments.benchmarks.timed_step import Setting, batches_of_activations, product, step
from experiments.lib.interleaved import Work, interleaved, ratio

GPU_SETTING = Setting(d_in=2304, widths=(2048, 6144, 14336, 30720, 65536), k=40, batch=4096, device="cuda")
NOTHING_TAKEN = "No GPU here: no GPU figure was taken."
STEPS_A_ROUND, ROUNDS = 5, 9
COPIED_BYTES, ADAM_BYTES = 1 << 31, 28
PRODUCT, COPY = "encoder product alone, bf16", "copy of 2 GiB"


def measure_on_gpu(setting: Setting) -> dict[str, Any]:
    """Print and return the card's two rates, the limit they set, and every step against it."""
    if not torch.cuda.is_available():
        print(NOTHING_TAKEN)
        return {}
    batches = batches_of_activations(setting)
    steps = {
        "msae, nested": step(setting, batches),
        "msae, one level": step(setting, batches, msae.Unnested()),
        "msae, nested, AuxK with 20% dead": step(setting, batches, dead=0.2),
    }
    work = {PRODUCT: product(setting, batches), COPY: _copy(setting.device)} | steps
    several = {name: _several(run) for name, run in work.items()}
    taken = interleaved(several, ROUNDS, wait=torch.cuda.synchronize)
    seconds = {name: [each / STEPS_A_ROUND for each in rounds] for name, rounds in taken.items()}
    n_parameters = 2 * setting.d_in * setting.d_sae + setting.d_sae + setting.d_in
    limits = [p + ADAM_BYTES * n_parameters / (2 * COPIED_BYTES / c) for p, c in zip(*_both(seconds), strict=True)]
    rows = {name: {"seconds": seconds[name], "to_limit": ratio(seconds[name], limits)} for name in steps}
    asked = {name: count_synchronisations(run) for name, run in steps.items()}
    _show(setting, seconds, limits, rows, asked)
    return {"card": torch.cuda.get_device_name(), "limit": limits, "steps": rows, "synchronisations": asked}


def count_synchronisations(run: Work) -> int:
    """How often the host waits for the device inside one step, as torch counts it."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run(0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def _several(run: Work) -> Work:
    """A few steps with no wait between them, as in training."""
    return lambda i: [run(STEPS_A_ROUND * i + j) for j in range(STEPS_A_ROUND)]


def _copy(device: str) -> Work:
    source = torch.empty(COPIED_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return lambda i: target.copy_(source)


def _both(seconds: dict[str, list[float]]) -> tuple[list[float], list[float]]:
    return seconds[PRODUCT], seconds[COPY]


def _show(
    setting: Setting, seconds: dict[str, list[float]], limits: list[float], rows: dict[str, Any], asked: dict[str, int]
) -> None:
    products, copies = (statistics.median(each) for each in _both(seconds))
    flop = 2 * setting.batch * setting.d_in * setting.d_sae
    title = f"d_in {setting.d_in}, levels {setting.widths}, k {setting.k}, batch {setting.batch}"
    table = Table(title=f"{title}; {torch.cuda.get_device_name()}")
    for heading in ("", "ms a step", "x limit", "half of the rounds", "host waits in a step"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row(f"{PRODUCT}: {flop / products / 1e12:,.0f} Tflop/s", f"{1e3 * products:.2f}", "", "", "")
    table.add_row(f"{COPY}: {2 * COPIED_BYTES / copies / 1e9:,.0f} GB/s", f"{1e3 * copies:.2f}", "", "", "")
    table.add_row("the limit: product and Adam's bytes", f"{1e3 * statistics.median(limits):.2f}", "1.00", "", "")
    for name, row in rows.items():
        to = row["to_limit"]
        spread = f"{to['low']:.2f} – {to['high']:.2f}"
        figures = (f"{1e3 * statistics.median(row['seconds']):.2f}", f"{to['median']:.2f}", spread, f"{asked[name]}")
        table.add_row(name, *figures)
    Console(width=120).print(table)
