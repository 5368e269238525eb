"""What the peer scripts share: their arguments, their batches, the timing of steps and the figures at the end.

It imports torch and safetensors alone, since it runs under the peers' own Pythons.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

WARMUP_STEPS = 2
DEAD_ROWS = 1 << 17


@dataclass(frozen=True)
class Peer:
    """One library's SAE in training: `step(x)` trains on a batch, the rest reads the SAE, in the units of raw x."""

    name: str
    version: str
    lr: float
    step: Callable[[Tensor], None]
    pre_activations: Callable[[Tensor], Tensor]
    decoder: Callable[[], tuple[Tensor, Tensor]]
    threshold: Callable[[], float]


def parse_arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--d-in", type=int, default=512, help="ignored when --data is given")
    parser.add_argument("--widths", type=int, nargs="+", default=[1024, 2048, 4096, 8192, 16384])
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--lr", type=float, help="the library's own default when left out")
    parser.add_argument("--lr-warmup-steps", type=int, default=0)
    parser.add_argument("--lr-decay-steps", type=int, default=0, help="linear, to zero, at the end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None, help="CPU threads; torch's own choice when left out")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--autocast", action="store_true", help="products in bfloat16, weights in float32")
    parser.add_argument("--data", type=Path, help="safetensors with x (rows, d_in), and heldout (rows, d_in)")
    parser.add_argument("--curve", type=int, default=0, help="how often to take figures while training")
    parser.add_argument("--out", type=Path, help="where to write the JSON as well")
    return parser.parse_args()


def run(build: Callable[[argparse.Namespace, Tensor], Peer], description: str) -> None:
    """Train `build(arguments, sample)` for the steps asked for; print timings, and figures where there is data."""
    arguments = parse_arguments(description)
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    tensors = load_file(arguments.data, device=arguments.device) if arguments.data else {}
    if tensors:
        arguments.d_in = tensors["x"].shape[1]
    batches = _batches(arguments, tensors.get("x"))
    peer = build(arguments, tensors["x"] if tensors else next(batches))
    product = None if tensors else _product(arguments)
    if product:
        for _ in range(WARMUP_STEPS):
            peer.step(next(batches))
            product(next(batches))
    heldout = tensors.get("heldout", tensors.get("x"))
    seconds, products, curve = [], [], []
    for taken in range(1, arguments.steps + 1):
        x = next(batches)
        if product:
            products.append(_time(product, x, arguments.device))
        seconds.append(_time(peer.step, x, arguments.device))
        if heldout is not None and arguments.curve * taken // arguments.steps > len(curve):
            reading = figures(peer, heldout, arguments.widths, arguments.k)["matched_l0"]
            curve.append({"step": taken, "tokens": taken * arguments.batch, **reading})

    report = {
        "peer": peer.name,
        "version": peer.version,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name() if arguments.device.startswith("cuda") else "cpu",
        "threads": torch.get_num_threads(),
        **{name: getattr(arguments, name) for name in ("d_in", "widths", "k", "batch", "steps", "seed")},
        "lr": peer.lr,
        "autocast": arguments.autocast,
        "data": str(arguments.data) if arguments.data else None,
        "median_seconds": statistics.median(seconds),
        "seconds": seconds,
        "product_seconds": products,
        "peak_resident_bytes": _peak_resident_bytes(),
    }
    if heldout is not None:
        report["curve"] = curve
        report["levels"] = levels = figures(peer, heldout, arguments.widths, arguments.k)
        report["dead"] = dead(peer, tensors["x"][:DEAD_ROWS], levels["matched_l0"]["threshold"], arguments.widths)
    text = json.dumps(report, indent=2)
    if arguments.out:
        temporary = arguments.out.with_suffix(".tmp")
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(arguments.out)
    print(text)


@torch.no_grad()
def figures(peer: Peer, x: Tensor, widths: list[int], k: int, rows: int = 4096) -> dict[str, Any]:
    """FVU and L0 of every prefix on `x`, by the peer's own threshold and by the one that gives L0 = k on `x`.

    FVU = Σ‖x − x̂‖² / Σ‖x − x̄‖², in float64.
    """
    chunks = list(x.float().split(rows))
    matched = _matched_threshold(peer, chunks, k * len(x))
    total = float((x.double() - x.double().mean(0)).square().sum())
    W_dec, b_dec = peer.decoder()
    report: dict[str, Any] = {}
    for reading, threshold in (("own_threshold", peer.threshold()), ("matched_l0", matched)):
        error, active = torch.zeros(len(widths), dtype=torch.float64), torch.zeros(len(widths))
        fired = torch.zeros(widths[-1], dtype=torch.bool, device=x.device)
        for chunk in chunks:
            z = peer.pre_activations(chunk)
            codes = torch.where(z >= threshold, z.relu(), 0.0)
            fired |= (codes > 0).any(0)
            for level, width in enumerate(widths):
                residual = chunk - codes[:, :width] @ W_dec[:width] - b_dec
                error[level] += residual.double().square().sum().cpu()
                active[level] += (codes[:, :width] > 0).sum().cpu()
        report[reading] = {
            "threshold": threshold,
            "fvu": (error / total).tolist(),
            "l0": (active / len(x)).tolist(),
            "dead": int((~fired).sum()),
        }
    return report


@torch.no_grad()
def dead(peer: Peer, x: Tensor, threshold: float, widths: list[int], rows: int = 4096) -> dict[str, Any]:
    """How many of the latents that each level adds fire on no row of `x`."""
    fired = torch.zeros(widths[-1], dtype=torch.bool, device=x.device)
    for chunk in x.split(rows):
        fired |= (peer.pre_activations(chunk.float()) >= max(threshold, 1e-12)).any(0)
    bands = zip([0, *widths], widths, strict=False)
    return {"rows": len(x), "by_level": [int((~fired[lo:hi]).sum()) for lo, hi in bands], "total": int((~fired).sum())}


def _matched_threshold(peer: Peer, chunks: list[Tensor], n_kept: int) -> float:
    """The `n_kept`-th largest pre-activation over all chunks, or the smallest positive one when there are fewer."""
    largest = chunks[0].new_empty(0)
    for chunk in chunks:
        z = peer.pre_activations(chunk)
        largest = torch.cat([largest, z[z > 0]])
        largest = largest.topk(min(n_kept, largest.numel())).values
    return float(largest[-1])


def _batches(arguments: argparse.Namespace, x: Tensor | None) -> Iterator[Tensor]:
    generator = torch.Generator(device=arguments.device).manual_seed(arguments.seed)
    while x is None:
        yield torch.randn(arguments.batch, arguments.d_in, generator=generator, device=arguments.device)
    if len(x) < arguments.batch:
        sys.exit(f"{arguments.data} holds {len(x)} rows, fewer than one batch of {arguments.batch}")
    while True:
        order = torch.randperm(len(x), generator=generator, device=arguments.device)
        for start in range(0, len(x) - arguments.batch + 1, arguments.batch):
            yield x[order[start : start + arguments.batch]].float()


def _product(arguments: argparse.Namespace) -> Callable[[Tensor], None]:
    """The encoder's forward product by itself, into memory that is there: what a step is compared with."""
    shape = {"device": arguments.device, "dtype": torch.bfloat16 if arguments.autocast else torch.float32}
    W = torch.randn(arguments.d_in, arguments.widths[-1], **shape)
    out = torch.empty(0, **shape)

    def run(x: Tensor) -> None:
        torch.mm(x.to(W.dtype), W, out=out)

    return run


def _time(step: Callable[[Tensor], None], x: Tensor, device: str) -> float:
    start = time.perf_counter()
    step(x)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _peak_resident_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
