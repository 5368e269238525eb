"""A small world of stores, runs and SAEs for the campaigns to damage, and running the command line in a process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msae
from msae.activations.synthetic import SyntheticForest, SyntheticSource

FOREST = SyntheticForest(d_in=8, n_roots=3, branching=(2,))
SIZES = {"n_tokens": 1200, "holdout_tokens": 240, "shard_rows": 400, "progress": False}
TRAIN = ["--widths", "4", "16", "--k", "2", "--tokens", "4096", "--batch-size", "128", "--device", "cpu"]
ANALYZE = ["--tokens", "800", "--concept-tokens", "0"]


def source(seed: int = 0) -> SyntheticSource:
    return SyntheticSource(forest=FOREST, context_size=16, batch_size=8, seed=seed)


def documents() -> list[msae.Document]:
    return [msae.Document(str(number), "") for number in range(400)]


def build(folder: Path) -> Path:
    """``acts``, a store; ``run``, trained, evaluated and analyzed; ``other``, a run to compare with; ``unfinished``;
    ``sae``, a saved SAE; ``text``, some files of text; ``labels.parquet``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from msae.studies.analyze_run import analyze_run
    from msae.studies.compare_run import compare_with
    from msae.studies.evaluate_run import evaluate_run

    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder):
        store = msae.harvest(source(), documents(), path="acts", **SIZES)
        config = msae.TrainConfig(n_tokens=4096, batch_size=128, log_every=4, checkpoint_every=8 * 128)
        run = msae.train(sae(), store, config, "run", progress=False)
        other = msae.train(sae(seed=1), store, config, "other", progress=False)
        evaluate_run(run, n_tokens=200, progress=False)
        analyze_run(run, tokens=800, concept_tokens=0, progress=False)
        compare_with(run, [other.path], ce=False, n_tokens=400, eval_tokens=200, progress=False)
        msae.save(run.sae, "sae", probe=store.rows(0, 64))
        _unfinished(store, config)
        Path("text").mkdir()
        for name in ("a.txt", "b.txt"):
            Path("text", name).write_text("words of a text, and more words\n" * 40)
        Path("rows.jsonl").write_text('{"text": "some words"}\n' * 20)
        pq.write_table(pa.table({"document": ["1", "2"], "offset": [1, 2], "label": ["x", "y"]}), "labels.parquet")
    return folder


def sae(seed: int = 0) -> msae.SparseAutoencoder:
    return msae.SparseAutoencoder(8, 16, msae.BatchTopK(k=2), msae.FixedPrefixes((4, 16)), seed=seed)


def _unfinished(store: msae.ActivationStore, config: msae.TrainConfig) -> None:
    from msae.training import Trainer

    step = Trainer.step

    def stopping(self: Trainer, x: object) -> object:
        if self.steps_done == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, x)

    Trainer.step = stopping  # type: ignore[method-assign]
    try:
        with contextlib.suppress(KeyboardInterrupt):
            msae.train(sae(), store, config, "unfinished", progress=False)
    finally:
        Trainer.step = step  # type: ignore[method-assign]


@dataclass(frozen=True)
class Outcome:
    """How a process ended: its exit status (negative: the signal), and what it printed."""

    status: int
    output: str

    @property
    def is_fault_of_ours(self) -> bool:
        """Whether it ended in a traceback, or in the line that stands for one."""
        return "Traceback (most recent call last)" in self.output or self.status == 1

    @property
    def crashed(self) -> bool:
        return self.status < 0


def in_a_process(work: Callable[[], object], folder: Path, output: Path, *, seconds: int = 120) -> Outcome:
    """Do `work` in a fork of this process, in `folder`. It is ended after `seconds`, which counts as a crash."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(seconds)
            os.chdir(folder)
            with output.open("w") as file:
                for stream in (1, 2):
                    os.dup2(file.fileno(), stream)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            status = _status_of(work)
            sys.stdout.flush(), sys.stderr.flush()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return Outcome(os.waitstatus_to_exitcode(status), output.read_text(errors="replace") if output.exists() else "")


def command(*arguments: str) -> Callable[[], None]:
    """`msae` with these arguments."""

    def work() -> None:
        from msae.cli import main

        sys.argv = ["msae", *arguments]
        main()

    return work


def _status_of(work: Callable[[], object]) -> int:
    import traceback

    from msae import MsaeError

    try:
        work()
    except MsaeError as error:
        print(error, file=sys.stderr)
        return 2
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
