"""Where metrics go: `metrics.jsonl` always, Weights & Biases when requested, a progress bar for people who watch."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from msae.core.errors import CheckpointError, ConfigError
from msae.core.files import parse_json
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
    """One JSON object a line. On resume, lines after `resumed_at` steps are dropped: they will be written again."""

    def __init__(self, path: Path, resumed_at: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in whole_lines(path) if _step(line, path) <= resumed_at]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Append one line and flush it."""
        self._file.write(json.dumps(metrics) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class WandbLogger:
    """Logs to a Weights & Biases project; honours WANDB_MODE (``offline`` writes files only)."""

    def __init__(self, project: str, name: str, config: Mapping[str, Any], folder: Path) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ConfigError("wandb is not installed: pip install wandb, or train without --wandb") from error
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(project=project, name=name, config=dict(config), dir=str(folder), reinit="create_new")

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
