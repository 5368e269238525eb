"""Where metrics go: `metrics.jsonl` always, Weights & Biases when requested, a progress bar for people who watch."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from msae.core.config import from_dict, to_dict
from msae.core.errors import CheckpointError, ConfigError, DiskError
from msae.core.files import parse_json, read_json, write_json, write_text
from msae.runs.layout import RunFolder
from msae.runs.record import whole_lines


@runtime_checkable
class Logger(Protocol):
    """Takes a row of metrics now and then."""

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Take one row in; `metrics["step"]` and `metrics["tokens"]` say when."""
        ...

    def close(self) -> None:
        """Flush and let go."""
        ...


class JsonlLogger:
    """One JSON object a line. On resume, lines after `resumed_at` steps are dropped: they will be written again.

    Raises `DiskError` when the file cannot be written to.
    """

    def __init__(self, path: Path, resumed_at: int = 0) -> None:
        self._path = path
        kept = "".join(line + "\n" for line in whole_lines(path) if _step(line, path) <= resumed_at)
        if path.is_file() and path.stat().st_size != len(kept.encode("utf-8")):
            write_text(path, kept)
        with self._written():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Append one line, at once."""
        line = (json.dumps(metrics) + "\n").encode("utf-8")
        with self._written():
            while line:
                line = line[self._file.write(line) or 0 :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DiskError(
                f"could not write {self._path}: {error}. Check the disk and its rights; the run can then be resumed"
            ) from error


@dataclass(frozen=True, kw_only=True)
class WandbRun:
    """Where in Weights & Biases a run's figures go. `id`: the run there, the same when training is gone on with."""

    project: str
    name: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])


def require_login() -> None:
    """Raise `ConfigError` unless Weights & Biases can be logged to: somebody is logged in, with credentials that its
    server takes, or WANDB_MODE says that nothing is sent. Nothing is written."""
    import wandb

    if os.environ.get("WANDB_MODE", "online") != "online" or os.environ.get("WANDB_DISABLED"):
        return
    try:
        logged_in = wandb.login(prompt=sys.stdin.isatty())
    except wandb.errors.Error as error:
        raise ConfigError(f"Weights & Biases cannot be logged to: {str(error).splitlines()[0]}") from error
    if not logged_in:
        raise ConfigError(
            "nobody is logged in to Weights & Biases on this machine: run wandb login, set WANDB_API_KEY, or set "
            "WANDB_MODE=offline to write files that wandb sync sends later"
        )


class WandbLogger:
    """Logs to a Weights & Biases project; honours WANDB_MODE (``offline`` writes files only).

    Which run there is kept in the run folder, so that a run that is gone on with stays one run there too.
    """

    def __init__(self, run: WandbRun, config: Mapping[str, Any], folder: RunFolder) -> None:
        import wandb

        if folder.wandb_id.is_file():
            before = from_dict(WandbRun, read_json(folder.wandb_id, CheckpointError))
            run = before if before.project == run.project else run
        write_json(folder.wandb_id, to_dict(run))
        try:
            self._run = wandb.init(
                project=run.project,
                name=run.name,
                id=run.id,
                resume="allow",
                config=dict(config),
                dir=str(folder.path),
                reinit="create_new",
            )
        except wandb.errors.Error as error:
            raise ConfigError(f"Weights & Biases cannot be logged to: {str(error).splitlines()[0]}") from error

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Log one row at its step; a list becomes one series a level."""
        flat: dict[str, Any] = {}
        for key, value in metrics.items():
            if isinstance(value, list):
                flat |= {f"{key}/level {level}": number for level, number in enumerate(value)}
            else:
                flat[key] = value
        self._run.log(flat, step=metrics["step"])

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class ProgressBar:
    """A bar on standard error: tokens, tokens/s, loss, L0, dead latents, time left. Silent where nobody watches."""

    def __init__(self, n_tokens: int, start: int = 0, *, visible: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("[bold]training"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not (visible and console.is_terminal),
        )
        self._task = self._progress.add_task("training", total=n_tokens, completed=start, figures="")
        self._progress.start()

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Move the bar."""
        figures = (
            f"{metrics['tokens_per_second']:,.0f} tok/s  loss {metrics['loss']:.4f}  "
            f"L0 {metrics['l0']:.1f}  dead {metrics['dead']}"
        )
        self._progress.update(self._task, completed=metrics["tokens"], figures=figures)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._progress.stop()


class Stopwatch:
    """Tokens per second since it was last read."""

    def __init__(self, tokens: int) -> None:
        self._tokens, self._time = tokens, time.perf_counter()

    def rate(self, tokens: int) -> float:
        """Tokens per second since the last call."""
        now = time.perf_counter()
        rate = (tokens - self._tokens) / max(now - self._time, 1e-9)
        self._tokens, self._time = tokens, now
        return rate


def _step(line: str, path: Path) -> int:
    step = parse_json(line, f"a line of {path}", CheckpointError, hint="move the file away to continue").get("step")
    if not isinstance(step, int):
        raise CheckpointError(f"a line of {path} has no step: move the file away to continue")
    return step
