"""How fast activations are harvested and read back, and what they weigh on disk.

    python experiments/bench_harvest.py
    python experiments/bench_harvest.py --model gpt2 --hook blocks.8.hook_out --json bench_harvest.json

Three tables. *Harvest*: tokens a second kept on disk, beside the model's forward pass alone on the same contexts
(the default model has GPT-2 small's shape and random weights, so nothing is downloaded). *Disk*: bytes a token for
each dtype. *Reading*: shuffled rows a second from a store just dropped from the page cache (cold) and in it (warm), and
how much a dense SAE step is slowed down by being fed from the store instead of from memory.
"""

import dataclasses
import importlib.metadata
import itertools
import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from msae.activations.harvest import harvest
from msae.activations.source import ActivationSource, ContextBatch
from msae.activations.store import ActivationStore
from msae.core.config import to_dict
from msae.core.rng import torch_stream
from msae.core.spec import SourceSpec
from msae.data.documents import Document

WORDS = ("the", "a", "tree", "root", "leaf", "branch", "grows", "over", "under", "of", "in", "not", "when", "light")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchHarvest:
    """What is measured, and on how much."""

    model: str | None = None
    """A hub name or local folder; by default GPT-2 small's shape with random weights."""
    hook: str = "blocks.8.hook_out"
    n_tokens: int = 16_384
    """Tokens harvested from the model, at least: whole batches are."""
    context_size: int = 256
    model_batch: int = 8
    """Contexts a forward pass."""
    device: str = "cpu"
    d_in: tuple[int, ...] = (512, 2304)
    """Widths of the stores read back."""
    read_bytes: int = 800_000_000
    """Size of each store read back."""
    batch_size: int = 4096
    """Rows a batch read."""
    steps: int = 12
    """SAE steps timed with and without the store."""
    threads: int = 1
    folder: str | None = None
    """Where the stores lie while measured; by default the temporary folder."""
    json: str | None = None
    """Write everything measured here as well."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoiseSource:
    """An `ActivationSource` that costs next to nothing: one block of Gaussian rows, again and again."""

    block: torch.Tensor

    @property
    def specs(self) -> dict[str, SourceSpec]:
        return {"noise": SourceSpec(kind="array", model="noise", hook_name="noise", d_in=self.block.shape[1])}

    def contexts(self, documents: Any) -> Iterator[ContextBatch]:
        size = len(self.block)
        for number, _ in enumerate(documents):
            yield ContextBatch(
                token_ids=torch.zeros(1, size, dtype=torch.long),
                document=torch.full((1, size), number),
                offset=torch.arange(size)[None],
                attention=torch.ones(1, size, dtype=torch.bool),
            )

    def activations(self, batch: ContextBatch) -> dict[str, torch.Tensor]:
        return {"noise": self.block[None]}


def noise_store(path: Path, d_in: int, n_rows: int, dtype: str) -> ActivationStore:
    source = NoiseSource(block=torch.randn(4096, d_in, generator=torch_stream(0, "bench")))
    documents = [Document(str(index), "") for index in range(n_rows // 4096 + 1)]
    return harvest(source, documents, n_tokens=n_rows, path=path, dtype=dtype, holdout_tokens=0, progress=False)


def random_gpt2(folder: Path) -> Path:
    """A folder with GPT-2 small's shape, random weights and a byte-level tokenizer."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(WORDS, vocab_size=300, special_tokens=["<|endoftext|>"])
    end = "<|endoftext|>"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer, bos_token=end, eos_token=end, unk_token=end, pad_token=end
    ).save_pretrained(folder)
    config = GPT2Config(bos_token_id=tokenizer.token_to_id(end), eos_token_id=tokenizer.token_to_id(end))
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def corpus(n_tokens: int) -> list[Document]:
    """Random words, more of them than tokens asked for."""
    rng = random.Random(0)
    return [Document(f"text {index}", " ".join(rng.choices(WORDS, k=1000))) for index in range(n_tokens // 500 + 1)]


def measure_harvest(source: ActivationSource, settings: BenchHarvest, folder: Path) -> dict[str, Any]:
    documents = corpus(settings.n_tokens)
    batches, rows = [], 0
    for batch in source.contexts(documents):
        batches.append(batch)
        rows += int(batch.keep.sum())
        if rows >= settings.n_tokens:
            break
    source.activations(batches[0])

    def forward() -> None:
        for batch in batches:
            _wait_for(source.activations(batch))

    def keep() -> None:
        arguments: dict[str, Any] = {"holdout_tokens": 0, "shard_rows": 8192, "progress": False}
        harvest(source, documents, n_tokens=rows, path=folder / "harvested", **arguments)

    (forward_seconds, forward_cpu), (harvest_seconds, harvest_cpu) = _seconds(forward), _seconds(keep)
    (spec,) = source.specs.values()
    return {
        "model": spec.model,
        "hook": spec.hook_name,
        "d_in": spec.d_in,
        "tokens/s forward": rows / forward_seconds,
        "tokens/s harvest": rows / harvest_seconds,
        "harvest/forward": rows / harvest_seconds / (rows / forward_seconds),
        "same, in CPU time": rows / harvest_cpu / (rows / forward_cpu),
    }


def _seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds: on a machine that is busy with something else the second is the fair one."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure_disk(folder: Path, d_in: int, n_rows: int = 65_536) -> list[dict[str, Any]]:
    results = []
    for dtype in ("float16", "bfloat16", "float32"):
        store = noise_store(folder / f"disk-{d_in}-{dtype}", d_in, n_rows, dtype)
        total = sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file())
        results.append({"d_in": d_in, "dtype": dtype, "bytes/token": total / n_rows})
    return results


def measure_reading(folder: Path, d_in: int, settings: BenchHarvest) -> dict[str, Any]:
    path = folder / f"read-{d_in}"
    n_rows = settings.read_bytes // (2 * d_in)
    began = time.perf_counter()
    noise_store(path, d_in, n_rows, "float16")
    written = n_rows / (time.perf_counter() - began)
    drop_from_page_cache(path)
    cold = rows_per_second(ActivationStore.open(path), settings.batch_size)
    warm = rows_per_second(ActivationStore.open(path), settings.batch_size)
    return {
        "d_in": d_in,
        "rows": n_rows,
        "rows/s written": written,
        "rows/s cold": cold,
        "rows/s warm": warm,
        **measure_waiting(ActivationStore.open(path), settings),
    }


def rows_per_second(store: ActivationStore, batch_size: int) -> float:
    count = max(1, store.n_rows // batch_size)
    with closing(store.batches(batch_size, seed=0)) as batches:
        began = time.perf_counter()
        for batch in itertools.islice(batches, count):
            batch.sum()
        return count * batch_size / (time.perf_counter() - began)


def measure_waiting(store: ActivationStore, settings: BenchHarvest) -> dict[str, float]:
    """A dense top-k SAE step fed from memory, then from the store: the slowdown and the share of time spent waiting."""
    step = DenseStep(store.d_in, 4 * store.d_in, settings.device)
    with closing(store.batches(settings.batch_size, seed=0)) as batches:
        fixed = next(batches)
        step(fixed)
        alone = min(_timed(step, fixed) for _ in range(settings.steps))
        waited, stepped = [], []
        for _ in range(settings.steps):
            began = time.perf_counter()
            batch = next(batches)
            waited.append(time.perf_counter() - began)
            stepped.append(_timed(step, batch))
    total = sum(waited) + sum(stepped)
    return {
        "SAE rows/s": settings.batch_size / alone,
        "share waiting": sum(waited) / total,
        "step slowdown": sorted(stepped)[len(stepped) // 2] / alone - 1,
    }


class DenseStep:
    """Forward and backward of a plain ReLU autoencoder: the work a trainer does with each batch, at the least."""

    def __init__(self, d_in: int, d_sae: int, device: str) -> None:
        self.W = (
            torch.randn(d_in, d_sae, generator=torch_stream(0, "bench/W")).to(device).div(d_in**0.5).requires_grad_()
        )
        self.device = device

    def __call__(self, x: torch.Tensor) -> None:
        x = x.to(self.device)
        loss = (torch.relu(x @ self.W) @ self.W.T - x).square().mean()
        (gradient,) = torch.autograd.grad(loss, self.W)
        _wait_for({"gradient": gradient})


def _timed(step: DenseStep, batch: torch.Tensor) -> float:
    began = time.perf_counter()
    step(batch)
    return time.perf_counter() - began


def _wait_for(tensors: dict[str, torch.Tensor]) -> None:
    for tensor in tensors.values():
        tensor.flatten()[-1].item()


def drop_from_page_cache(path: Path) -> None:
    """Ask the kernel to forget the files, where it can be asked; elsewhere the cold figure is a warm one."""
    for file in path.rglob("*.safetensors"):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def machine(settings: BenchHarvest) -> dict[str, Any]:
    packages = ("msae", "torch", "transformer-lens", "safetensors")
    accelerator = torch.cuda.get_device_name() if settings.device.startswith("cuda") else "none"
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": accelerator,
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def show(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(
            *(f"{value:,.3g}" if isinstance(value, float) and value < 10 else _plain(value) for value in row.values())
        )
    Console().print(table)


def _plain(value: Any) -> str:
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


def main(settings: BenchHarvest) -> None:
    from msae.activations.transformer_lens import TransformerLensSource

    torch.set_num_threads(settings.threads)
    with tempfile.TemporaryDirectory(dir=settings.folder) as temporary:
        folder = Path(temporary)
        source = TransformerLensSource(
            settings.model or str(random_gpt2(folder / "gpt2-small-random")),
            hook_name=settings.hook,
            context_size=settings.context_size,
            batch_size=settings.model_batch,
            device=settings.device,
        )
        results: dict[str, Any] = {"machine": machine(settings), "settings": to_dict(settings)}
        Console().print(results["machine"])
        results["harvest"] = [measure_harvest(source, settings, folder)]
        show("Harvest", results["harvest"])
        results["disk"] = list(itertools.chain(*(measure_disk(folder, d_in) for d_in in settings.d_in)))
        show("Disk", results["disk"])
        results["reading"] = [measure_reading(folder, d_in, settings) for d_in in settings.d_in]
        show("Reading", results["reading"])
    if settings.json:
        Path(settings.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(BenchHarvest, description=__doc__))
