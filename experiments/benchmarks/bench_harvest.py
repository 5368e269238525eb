"""How fast activations are harvested and read back, and what they weigh on disk.

    python experiments/benchmarks/bench_harvest.py
    python experiments/benchmarks/bench_harvest.py --model gpt2 --hook blocks.8.hook_out --results harvest.json

Three tables. *Harvest*: tokens a second kept on disk, beside the model's forward pass alone on the same contexts
(the default model has GPT-2 small's shape and random weights, so nothing is downloaded). *Disk*: bytes a token for
each dtype. *Reading*: shuffled rows a second from a store just dropped from the page cache (cold) and in it (warm), and
what share of its time training on the store waits for batches. What is compared is measured in turn (`interleaved`).
"""

import dataclasses
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

import msae
from experiments.lib.interleaved import Work, interleaved, ratio
from experiments.lib.machine import in_a_line, machine
from experiments.lib.results import Figure, record
from msae.activations.harvest import harvest
from msae.activations.source import ActivationSource, ContextBatch
from msae.activations.store import ActivationStore
from msae.core.config import to_dict
from msae.core.rng import torch_stream
from msae.core.spec import SourceSpec
from msae.data.documents import Document

QUESTION = "How fast are activations harvested and read back?"
PACKAGES = ("msae", "torch", "transformer-lens", "safetensors")
WORDS = ("the", "a", "tree", "root", "leaf", "branch", "grows", "over", "under", "of", "in", "not", "when", "light")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchHarvest:
    """What is measured, and on how much."""

    model: str | None = None
    """A hub name or local folder; by default GPT-2 small's shape with random weights."""
    hook: str = "blocks.8.hook_out"
    n_tokens: int = 8_192
    """Tokens harvested from the model in each round, at least: whole batches are."""
    rounds: int = 3
    """Rounds of a forward pass and a harvest."""
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
    """Training steps timed with and without the store."""
    threads: int = 1
    folder: str | None = None
    """Where the stores lie while measured; by default the temporary folder."""
    results: Path | None = None
    """Write every figure there (JSON)."""


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

    def forward(i: int) -> None:
        for batch in batches:
            _wait_for(source.activations(batch))

    def keep(i: int) -> None:
        arguments: dict[str, Any] = {"holdout_tokens": 0, "shard_rows": 8192, "progress": False}
        harvest(source, documents, n_tokens=rows, path=folder / f"harvested-{i}", **arguments)

    processor: dict[str, list[float]] = {"forward": [], "harvest": []}
    work = {"forward": _counted(forward, processor["forward"]), "harvest": _counted(keep, processor["harvest"])}
    seconds = interleaved(work, settings.rounds, warmup=0)
    (spec,) = source.specs.values()
    return {
        "model": spec.model,
        "hook": spec.hook_name,
        "d_in": spec.d_in,
        "tokens/s forward": rows / statistics.median(seconds["forward"]),
        "tokens/s harvest": rows / statistics.median(seconds["harvest"]),
        "harvest/forward": ratio(seconds["forward"], seconds["harvest"])["median"],
        "same, in CPU time": ratio(processor["forward"], processor["harvest"])["median"],
    }


def _counted(work: Work, cpu_seconds: list[float]) -> Work:
    """`work` that adds its CPU seconds: on a machine that is busy with something else they are the fairest."""

    def run(i: int) -> None:
        start = time.process_time()
        work(i)
        cpu_seconds.append(time.process_time() - start)

    return run


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
    """Training on the store, as `msae.train` does: the share of time it waits for batches, and its slowdown by them.

    In turn a step on a batch that lies in memory, and one on the next batch of the store.
    """
    sae = msae.SparseAutoencoder(store.d_in, 4 * store.d_in, msae.BatchTopK(k=32), device=settings.device)
    config = msae.TrainConfig(n_tokens=10**9, batch_size=settings.batch_size)
    with closing(store.batches(settings.batch_size, seed=0)) as batches:
        fixed, read = next(batches), []
        trainer = msae.Trainer(sae, config, fixed, reservoir_rows=0)
        work = {
            "in memory": lambda i: trainer.step(fixed),
            "waiting": lambda i: read.append(next(batches)),
            "from the store": lambda i: trainer.step(read.pop()),
        }
        seconds = interleaved(work, settings.steps, warmup=2, wait=trainer.synchronize)
    waited, stepped = sum(seconds["waiting"]), sum(seconds["from the store"])
    return {
        "SAE rows/s": settings.batch_size / statistics.median(seconds["in memory"]),
        "share waiting": waited / (waited + stepped),
        "step slowdown": ratio(seconds["from the store"], seconds["in memory"])["median"] - 1,
    }


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


def show(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(
            *(f"{value:,.3g}" if isinstance(value, float) and value < 10 else _plain(value) for value in row.values())
        )
    Console(width=120).print(table)


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
        print(in_a_line(machine(PACKAGES)))
        harvested = measure_harvest(source, settings, folder)
        show("Harvest", [harvested])
        disk = list(itertools.chain(*(measure_disk(folder, d_in) for d_in in settings.d_in)))
        show("Disk", disk)
        reading = [measure_reading(folder, d_in, settings) for d_in in settings.d_in]
        show("Reading", reading)
    if settings.results:
        record(
            settings.results,
            __file__,
            question=QUESTION,
            figures=figures(harvested, disk, reading, settings),
            settings={name: value for name, value in to_dict(settings).items() if name not in ("results", "folder")},
            packages=PACKAGES[2:],
            threads=settings.threads,
        )


def figures(
    harvested: dict[str, Any], disk: list[dict[str, Any]], reading: list[dict[str, Any]], settings: BenchHarvest
) -> list[Figure]:
    """Everything the tables show."""
    units = {"tokens/s forward": "tokens a second", "tokens/s harvest": "tokens a second"}
    out = [
        Figure(name=name, value=value, unit=units.get(name, "ratio"), n=settings.rounds, of="rounds")
        for name, value in harvested.items()
        if isinstance(value, float)
    ]
    for row in disk:
        case = {"d_in": row["d_in"], "dtype": row["dtype"]}
        out.append(Figure(name="disk", value=row["bytes/token"], unit="bytes a token", n=1, of="store", case=case))
    for row in reading:
        for name, value in row.items():
            if name not in ("d_in", "rows"):
                unit = "rows a second" if "rows/s" in name else "fraction"
                out.append(Figure(name=name, value=value, unit=unit, n=1, of="run", case={"d_in": row["d_in"]}))
    return out


if __name__ == "__main__":
    main(tyro.cli(BenchHarvest, description=__doc__))
