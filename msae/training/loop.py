"""`train`: from a store to a finished run, resumable at any moment. `train_many`: several SAEs from one stream."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from msae.activations.store import ActivationStore
from msae.core.errors import ConfigError, MsaeError, TrainingError
from msae.core.spec import require_same_source
from msae.sae import SparseAutoencoder, save
from msae.sae.self_check import spread_rows
from msae.training.level_watch import LevelWatch
from msae.training.loggers import JsonlLogger, Logger, ProgressBar, Stopwatch, WandbLogger
from msae.training.resume import has_state, load_state, save_state
from msae.training.run import Run, begin_run, require_same_settings, run_config
from msae.training.scaling import Scaling
from msae.training.train_config import TrainConfig
from msae.training.trainer import StepMetrics, Trainer


def train(
    sae: SparseAutoencoder,
    store: ActivationStore,
    config: TrainConfig,
    path: str | Path,
    *,
    wandb_project: str | None = None,
    progress: bool = True,
    force: bool = False,
) -> Run:
    """Train `sae` on `store` into the run folder `path`. Called again after a kill it continues where it stopped.

    Writes `config.json`, `metrics.jsonl`, `resume/` while training, and `sae/` at the end. θ is calibrated, and L0 and
    FVU recorded, on the store's holdout (without one, on rows kept back from training).

    Raises `ConfigError` when the widths do not match or the folder holds something else, `MismatchError` when `sae`
    already belongs to another source (`force` overrides), `TrainingError` when training cannot go on.
    """
    return train_many({"": sae}, store, config, path, wandb_project=wandb_project, progress=progress, force=force)[""]


def train_many(
    saes: Mapping[str, SparseAutoencoder],
    store: ActivationStore,
    config: TrainConfig,
    path: str | Path,
    *,
    wandb_project: str | None = None,
    progress: bool = True,
    force: bool = False,
) -> dict[str, Run]:
    """`train` for several SAEs that see the very same batches, read once: runs in ``path/name``, by name.

    Called again after a kill, runs that were finished by then are kept as they are. One that cannot continue is left
    where it stands while the others are finished; then `TrainingError` names it and its reason.
    """
    if not saes:
        raise ConfigError("train_many was given no SAE")
    for name, sae in saes.items():
        if sae.d_in != store.d_in:
            raise ConfigError(f"SAE {name!r} has d_in = {sae.d_in}, the store {store.path} has rows of {store.d_in}")
        if sae.source is not None:
            require_same_source(
                sae.source, store.spec, what=f"the SAE {name!r} and the store {store.path}", force=force
            )
    todo = _unfinished(saes, store, config, Path(path))
    sessions = {
        name: _Session(sae, store, config, Path(path) / name, wandb_project, name) for name, sae in todo.items()
    }
    failed: dict[str, MsaeError] = {}
    start = min(session.trainer.steps_done for session in sessions.values())
    batches = store.batches(config.batch_size, seed=config.seed, start=start)
    bar = ProgressBar(config.n_steps * config.batch_size, start * config.batch_size, visible=progress)
    try:
        for step in range(start, config.n_steps):
            x = next(batches)
            for name, session in sessions.items():
                if name not in failed and session.trainer.steps_done == step:
                    _attempt(name, partial(session.step, x, bar), failed, len(saes))
            if len(failed) == len(sessions):
                break
        for name, session in sessions.items():
            if name not in failed:
                _attempt(name, session.finish, failed, len(saes))
    finally:
        bar.close()
        batches.close()
        for session in sessions.values():
            session.close()
    if failed:
        reasons = "; ".join(f"{name!r}: {error}" for name, error in failed.items())
        raise TrainingError(
            f"{len(failed)} of {len(saes)} SAEs failed, the others are finished in {path}. To run one again with other "
            f"settings, delete its folder there. {reasons}"
        )
    return {name: Run(Path(path) / name) for name in saes}


def _attempt(name: str, do: Callable[[], None], failed: dict[str, MsaeError], n_saes: int) -> None:
    """`do`, or note why it failed; alone, an SAE fails as it does."""
    try:
        do()
    except MsaeError as error:
        if n_saes == 1:
            raise
        failed[name] = error


def _unfinished(
    saes: Mapping[str, SparseAutoencoder], store: ActivationStore, config: TrainConfig, path: Path
) -> dict[str, SparseAutoencoder]:
    """The SAEs still to be trained: a kill among several can leave some finished, with these very settings."""
    finished = [name for name in saes if Run(path / name).is_finished]
    if len(finished) == len(saes):
        return dict(saes)  # nothing is left to do, which `begin_run` refuses
    for name in finished:
        require_same_settings(
            Run(path / name), run_config(saes[name], config, store.path, store.fingerprint, store.spec)
        )
    return {name: sae for name, sae in saes.items() if name not in finished}


class _Session:
    """One SAE's training: its trainer, its folder, its loggers."""

    def __init__(
        self,
        sae: SparseAutoencoder,
        store: ActivationStore,
        config: TrainConfig,
        path: Path,
        project: str | None,
        name: str,
    ) -> None:
        settings = run_config(sae, config, store.path, store.fingerprint, store.spec)
        self.run = begin_run(path, settings)
        self.store, self.config = store, config
        sae.source = store.spec
        reservoir_rows = 8192 if store.holdout is None else 0
        scaling = Scaling.from_moments(store.mean, store.mean_squared_norm)
        self.trainer = Trainer(sae, config, scaling, reservoir_rows=reservoir_rows)
        folder = self.run.folder
        if has_state(folder.resume):
            load_state(self.trainer, folder.resume)
        done = self.trainer.steps_done
        self.loggers: list[Logger] = [JsonlLogger(folder.metrics, done)]
        if project is not None:
            self.loggers.append(WandbLogger(project, path.name, settings, path))
        self.watch = Stopwatch(self.trainer.tokens_done)
        self.levels = LevelWatch(name)

    def step(self, x: Any, bar: ProgressBar) -> None:
        metrics = self.trainer.step(x)
        last = metrics.step == self.config.n_steps
        if metrics.step % self.config.log_every == 0 or last:
            self.trainer.synchronize()
            self.levels.look(self.trainer)
            self.trainer.require_live_levels()
            row = metrics_row(metrics, self.trainer) | {"tokens_per_second": round(self.watch.rate(metrics.tokens), 1)}
            for logger in (*self.loggers, bar):
                logger.log(row)
        if metrics.step % self.config.steps_between_checkpoints == 0 or last:
            save_state(self.trainer, self.run.folder.resume)

    def finish(self) -> None:
        holdout = self.store.holdout
        sae = self.trainer.finish(holdout)
        rows = self.store if holdout is None else holdout
        probe = rows.gather([(row, row + 1) for row in spread_rows(rows.n_rows)]).float()
        save(sae, self.run.folder.sae, probe=probe)
        shutil.rmtree(self.run.folder.resume, ignore_errors=True)

    def close(self) -> None:
        for logger in self.loggers:
            logger.close()


def metrics_row(metrics: StepMetrics, trainer: Trainer) -> dict[str, Any]:
    """One line of `metrics.jsonl`. `fvu`: per trained prefix; `dead`: latents; `dead_by_level`: those of each band."""
    dead = trainer.silence.dead()
    losses = metrics.losses
    return {
        "step": metrics.step,
        "tokens": metrics.tokens,
        "lr": metrics.lr,
        "loss": losses.total.item(),
        "fvu": losses.levels.tolist(),
        "widths": list(metrics.widths),
        "auxk": losses.auxk.item(),
        "penalty": losses.penalty.item(),
        "l0": round(metrics.l0.item(), 6),
        "grad_norm": metrics.grad_norm.item(),
        "dead": int(dead.sum()),
        "dead_by_level": [int(dead[trainer.sae.band(level)].sum()) for level in range(trainer.sae.n_levels)],
    }


__all__ = ["metrics_row", "train", "train_many"]
