"""Train the small language model of Python that ships with msae, and print how good it is.

    python experiments/studies/train_demo_lm.py --out runs/demo-lm
    python experiments/studies/train_demo_lm.py --out runs/demo-lm --evaluate-only msae/demo/model

The text is `msae.demo.documents`: source files already on this machine. A run that was killed goes on from its last
checkpoint when started again with the same options, and on a CPU ends with the same bits as one never killed.
"""

from __future__ import annotations

import json
import lzma
import math
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from rich.console import Console
from rich.table import Table
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from experiments.lib.results import Figure, record
from msae.core.errors import ConfigError, CorpusError
from msae.demo.corpus import Corpus, Split
from msae.demo.ngram import ngram_bits
from msae.demo.tokenizer import BOS, PAD, train_tokenizer

QUESTION, BITS = "How good is the language model that ships?", "bits a byte of held-out text"
WARMUP_STEPS, DECAY_SHARE = 100, 0.3
PROMPTS = ("def read_", "class Node:\n", "import numpy as np\n", "    def __init__(self, ", "        # If the ")


@dataclass(frozen=True, kw_only=True)
class TrainLM:
    """What one run is. Lengths are in tokens; widths are those of the Llama architecture."""

    out: Path = Path("runs/demo-lm")
    """Folder of the run: token streams, checkpoint, log, exported model."""
    tokens: int = 18_800_000
    """Tokens to train on; the learning rate has fallen to nought at the last one."""
    seed: int = 0
    lr: float = 4e-3
    """Peak learning rate of Muon, for the blocks' matrices; AdamW, for embeddings and norms, takes half of it."""
    batch: int = 16
    """Contexts a step."""
    context: int = 256
    """Tokens of a context, the BOS in front included."""
    d_model: int = 256
    layers: int = 6
    heads: int = 4
    d_mlp: int = 704
    vocab: int = 4096
    heldout_bytes: int = 4_000_000
    """Held-out text, at least, that the figures are taken on."""
    device: str = "cpu"
    threads: int = 1
    compile: bool = False
    """Use torch.compile. It needs a C++ compiler, and its bits differ from those without."""
    checkpoint_steps: int = 50
    export_steps: int = 500
    evaluate_only: Path | None = None
    """Print the figures of this exported model instead of training one."""
    results: Path | None = None
    """Write the figures there (JSON)."""

    @property
    def steps(self) -> int:
        """Optimiser steps in the token budget."""
        return self.tokens // (self.batch * self.context)

    @property
    def decay_start(self) -> int:
        """The step at which the learning rate begins to fall: until then, the budget may still be changed."""
        return decay_start(self.steps)

    def rate(self, step: int) -> float:
        """The learning rate's factor: up over the first steps, one, then a straight line down to nought."""
        return min(1.0, (step + 1) / WARMUP_STEPS, (self.steps - step) / (self.steps - self.decay_start))


def main(config: TrainLM) -> None:
    """Prepare the tokens, train (or go on training), export, and print the figures."""
    torch.set_num_threads(config.threads)
    prepare(config)
    folder = config.evaluate_only or train(config)
    for prompt in PROMPTS:
        print(f"--- {prompt!r}\n{sample(folder, prompt, config.seed)}\n")
    found = figures(config, folder)
    print_table("held-out text", found)
    if config.results:
        of = {name: {"n": int(found[name]), "of": name} for name in ("bytes", "tokens")}
        kept = {"tokens": config.steps * config.batch * config.context, "steps": config.steps}
        record(
            config.results,
            __file__,
            question=QUESTION,
            figures=[
                Figure(name="loss", value=found["nats a token"], unit="nats a token", **of["tokens"]),
                *(
                    Figure(name=BITS, value=value, unit="bits a byte", case={"by": by}, **of["bytes"])
                    for name, value in found.items()
                    for what, _, by in [name.partition(", ")]
                    if what == "bits a byte"
                ),
            ],
            seeds=(config.seed,),
            settings={**kept, "batch": config.batch, "context": config.context},
            packages=("transformers",),
            threads=config.threads,
        )


# ------------------------------------------------------------------------------------------------ text to tokens


def prepare(config: TrainLM, splits: Mapping[Split, Corpus] | None = None) -> None:
    """Write the tokenizer and each split's bytes and tokens to `out`, once: whoever comes later reads them there."""
    out = config.out
    if (out / "corpus.json").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    splits = splits or {"train": Corpus("train"), "heldout": Corpus("heldout")}
    progress = tqdm(splits["train"], desc="training the tokenizer", unit=" files", disable=None)
    tokenizer = train_tokenizer((document.text for document in progress), config.vocab)
    tokenizer.save(str(out / "tokenizer.json"))
    reports = {}
    for split, corpus in splits.items():
        reports[split] = report = asdict(corpus.report())
        limit = config.heldout_bytes if split == "heldout" else report["bytes"]
        progress = tqdm(corpus, desc=f"reading {split}", unit=" files", disable=None)
        report["bytes_used"], report["tokens_used"] = write_stream(
            out / split, tokenizer, (document.text for document in progress), limit
        )
    print_table("corpus", {f"{split} {key}": value for split in reports for key, value in reports[split].items()})
    part = out / "corpus.json.part"
    part.write_text(json.dumps(reports, indent=2))
    part.replace(out / "corpus.json")  # last: its presence says that the rest is whole


def write_stream(path: Path, tokenizer: Tokenizer, texts: Iterable[str], limit: int) -> tuple[int, int]:
    """Write texts until `limit` bytes are reached: `path.txt`, and `path.npy`, the tokens with BOS after each text.

    Returns the bytes and the tokens written.
    """
    bos = tokenizer.token_to_id(BOS)
    pieces, size = [], 0
    with path.with_suffix(".txt").open("wb") as file:
        for text in texts:
            pieces.append(np.array([*tokenizer.encode(text, add_special_tokens=False).ids, bos], dtype=np.uint16))
            size += file.write(text.encode())
            if size >= limit:
                break
    stream = np.concatenate(pieces)
    np.save(path.with_suffix(".npy"), stream)
    return size, len(stream)


def contexts(stream: np.ndarray, rows: Iterable[int], length: int, bos: int) -> torch.Tensor:
    """The given contexts of a stream, each BOS and the next `length - 1` tokens: (row, length), int64."""
    body = length - 1
    tokens = np.stack([stream[row * body : (row + 1) * body] for row in rows]).astype(np.int64)
    return torch.from_numpy(np.pad(tokens, ((0, 0), (1, 0)), constant_values=bos))


def batches(config: TrainLM, stream: np.ndarray, bos: int, step: int) -> Iterator[torch.Tensor]:
    """The batches from `step` on, without end: each epoch visits the contexts in an order of its own."""
    n_contexts = len(stream) // (config.context - 1)
    per_epoch = n_contexts // config.batch
    if not per_epoch:
        raise CorpusError(
            f"the train split has {len(stream):,} tokens, less than a batch of {config.batch} contexts of "
            f"{config.context}: read more text, or lower --batch or --context"
        )
    while True:
        epoch, within = divmod(step, per_epoch)
        order = np.random.default_rng((config.seed, epoch)).permutation(n_contexts)
        for i in range(within, per_epoch):
            rows = order[i * config.batch : (i + 1) * config.batch]
            yield contexts(stream, rows, config.context, bos).to(config.device)
        step += per_epoch - within


# ------------------------------------------------------------------------------------------------------ training


def train(config: TrainLM) -> Path:
    """The training loop. Returns the folder of the exported model."""
    out = config.out
    bos = Tokenizer.from_file(str(out / "tokenizer.json")).token_to_id(BOS)
    model, optimisers = build(config, bos)
    first = step = resume(config, model, optimisers)
    loss_of = torch.compile(mean_loss) if config.compile else mean_loss
    data = batches(config, np.load(out / "train.npy", mmap_mode="r"), bos, step)
    progress = tqdm(total=config.steps, initial=step, unit="step", smoothing=0.02, disable=None)
    started = time.monotonic()
    with (out / "log.jsonl").open("a") as log, progress:
        while step < config.steps:
            for optimiser in optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = group["initial_lr"] * config.rate(step)
            loss = loss_of(model, next(data))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimiser in optimisers:
                optimiser.step()
                optimiser.zero_grad()
            step += 1
            progress.update()
            if step % 10 == 0:
                speed = (step - first) * config.batch * config.context / (time.monotonic() - started)
                progress.set_postfix(loss=f"{loss.item():.3f}", tokens_per_s=f"{speed:.0f}")
                log.write(json.dumps({"step": step, "loss": loss.item(), "tokens_per_s": round(speed)}) + "\n")
                log.flush()
            if step % config.checkpoint_steps == 0 or step == config.steps:
                checkpoint(config, step, model, optimisers)
            if step % config.export_steps == 0 or step == config.steps:
                export(config, model)
    return out / "export"


def decay_start(steps: int) -> int:
    """The step of a run of `steps` at which the learning rate begins to fall."""
    return steps - round(DECAY_SHARE * steps)


def build(config: TrainLM, bos: int) -> tuple[LlamaForCausalLM, list[torch.optim.Optimizer]]:
    """A new model from the seed, and its optimisers: Muon for the blocks' matrices, AdamW for the rest."""
    torch.manual_seed(config.seed)
    llama = LlamaConfig(
        vocab_size=config.vocab,
        hidden_size=config.d_model,
        intermediate_size=config.d_mlp,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.context,
        tie_word_embeddings=True,
        bos_token_id=bos,
        eos_token_id=bos,
        pad_token_id=bos + 1,
    )
    model = LlamaForCausalLM(llama).to(config.device)
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=config.lr, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(others, lr=config.lr / 2, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    for group in (*muon.param_groups, *adamw.param_groups):
        group["initial_lr"] = group["lr"]
    return model, [muon, adamw]


def mean_loss(model: LlamaForCausalLM, batch: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats, averaged over every token after the BOS in front; the products in bfloat16."""
    with torch.autocast(batch.device.type, dtype=torch.bfloat16):
        logits = model(input_ids=batch, use_cache=False).logits
    return F.cross_entropy(logits[:, :-1].float().flatten(0, 1), batch[:, 1:].flatten())


def checkpoint(config: TrainLM, step: int, model: LlamaForCausalLM, optimisers: list[torch.optim.Optimizer]) -> None:
    """Everything the next step depends on, in one file that appears whole or not at all.

    The data's position follows from the step, and nothing in a step is drawn at random.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.named_parameters()}
    for i, optimiser in enumerate(optimisers):
        for j, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{j}.{key}": value for key, value in state.items()}
    part = config.out / "resume.safetensors.part"
    save_file(tensors, part, {"step": str(step), "steps": str(config.steps), "recipe": recipe(config)})
    part.replace(config.out / "resume.safetensors")


def resume(config: TrainLM, model: LlamaForCausalLM, optimisers: list[torch.optim.Optimizer]) -> int:
    """Load the last checkpoint, if there is one, and return its step (0 without).

    Raises:
        ConfigError: the checkpoint is of a run with other settings, or it is too late to change the token budget.
    """
    path = config.out / "resume.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    step, steps = int(metadata["step"]), int(metadata["steps"])
    if metadata["recipe"] != recipe(config):
        raise ConfigError(
            f"{path} was written by a run with the settings {metadata['recipe']}, not {recipe(config)}: give the same "
            f"options to go on with it, or another --out to start anew"
        )
    if steps != config.steps and step > min(decay_start(steps), config.decay_start):
        raise ConfigError(
            f"--tokens {config.tokens} makes {config.steps} steps, but {path} stands at step {step} of {steps}, where "
            f"the learning rate has begun to fall or should have: give the first run's --tokens, or another --out"
        )
    tensors = load_file(path, device=config.device)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
    for i, optimiser in enumerate(optimisers):
        whole = optimiser.state_dict()
        for name, tensor in tensors.items():
            if name.startswith(f"optimiser.{i}."):
                j, key = name.split(".")[2:]
                whole["state"].setdefault(int(j), {})[key] = tensor
        optimiser.load_state_dict(whole)
    return step


def recipe(config: TrainLM) -> str:
    """The settings that decide the weights, the token budget aside, as JSON."""
    free = {"out", "tokens", "checkpoint_steps", "export_steps", "evaluate_only", "heldout_bytes", "device"}
    return json.dumps({key: value for key, value in asdict(config).items() if key not in free}, sort_keys=True)


def export(config: TrainLM, model: LlamaForCausalLM) -> None:
    """Write `out/export`: a Hugging Face folder, float16, that needs no other file."""
    part, folder = config.out / "export.part", config.out / "export"
    shutil.rmtree(part, ignore_errors=True)
    half = LlamaForCausalLM(model.config).half()
    half.load_state_dict(model.state_dict())
    half.save_pretrained(part)
    (part / "model.safetensors").chmod(0o644)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(config.out / "tokenizer.json"),
        bos_token=BOS,
        eos_token=BOS,
        pad_token=PAD,
        model_max_length=config.context,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(part)
    settings = json.loads((part / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that transformers 4 and 5 both know
    (part / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


# ------------------------------------------------------------------------------------------------------- figures


def figures(config: TrainLM, folder: Path) -> dict[str, float]:
    """Bits per byte of the same held-out bytes: the model in `folder`, a byte 5-gram of the train text, and xz."""
    heldout = (config.out / "heldout.txt").read_bytes()
    stream = np.load(config.out / "heldout.npy")
    nats = total_nats(folder, stream, config.context, config.device)
    train_bytes = np.fromfile(config.out / "train.txt", dtype=np.uint8)
    ngram = ngram_bits(train_bytes, np.frombuffer(heldout, dtype=np.uint8), order=5)
    xz = lzma.compress(heldout, preset=9 | lzma.PRESET_EXTREME)
    return {
        "bytes": len(heldout),
        "tokens": len(stream),
        "nats a token": nats / len(stream),
        "bits a byte, the model": nats / math.log(2) / len(heldout),
        "bits a byte, byte 5-gram": ngram / len(heldout),
        "bits a byte, xz -9e": 8 * len(xz) / len(heldout),
    }


@torch.no_grad()
def total_nats(folder: Path, stream: np.ndarray, length: int, device: str) -> float:
    """The nats of every token of a stream, document ends included, in contexts of `length`; float32 throughout."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    bos = model.config.bos_token_id
    rows = -(-len(stream) // (length - 1))
    padded = np.pad(stream.astype(np.int64), (0, rows * (length - 1) - len(stream)), constant_values=-1)
    total = 0.0
    for row in tqdm(range(0, rows, 16), desc="held-out loss", disable=None):
        batch = contexts(padded, range(row, min(row + 16, rows)), length, bos).to(device)
        logits = model(input_ids=batch.clamp(min=0)).logits[:, :-1]
        targets = batch[:, 1:].flatten()
        total += F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=-1, reduction="sum").item()
    return total


def sample(folder: Path, prompt: str, seed: int, tokens: int = 120) -> str:
    """What the model goes on to write after `prompt`, drawn at temperature 0.7 from the 40 likeliest tokens."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(seed)
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    drawn = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=0.7, top_k=40, max_new_tokens=tokens
    )
    return tokenizer.decode(drawn[0], skip_special_tokens=True)


def print_table(title: str, values: Mapping[str, object]) -> None:
    """Names and values, side by side."""
    table = Table("", "", title=title, title_justify="left")
    for name, value in values.items():
        table.add_row(
            name.strip(),
            f"{value:,}" if isinstance(value, int) else f"{value:.4f}" if isinstance(value, float) else str(value),
        )
    Console(highlight=False, markup=False).print(table)


if __name__ == "__main__":
    main(tyro.cli(TrainLM, description=__doc__))
