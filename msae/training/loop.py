"""`train`: from a store to a finished run, resumable at any moment. `train_many`: several SAEs from one stream."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from msae.activations.plan import format_bytes
from msae.activations.store import ActivationStore
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import ConfigError, MsaeError, TrainingError
from msae.core.files import write_json
from msae.core.leftovers import remove
from msae.core.spec import require_same_source
from msae.core.stopping import stop_held_back
from msae.sae import SparseAutoencoder, save
from msae.sae.self_check import spread_rows
from msae.training.level_watch import LevelWatch
from msae.training.loggers import JsonlLogger, Logger, ProgressBar, Stopwatch, WandbLogger, WandbRun, require_login
from msae.training.memory_needed import require_memory
from msae.training.resume import has_state, load_state, save_state
from msae.training.run import Run, run_config
from msae.training.run_folder import require_same_settings, trained_into
from msae.training.scaling import Scaling
from msae.training.train_config import TrainConfig
from msae.training.trainer import StepMetrics, Trainer

HELDOUT_ROWS = 2048
_NAME = re.compile(r"\w[\w. -]*")


@checked
def train(
    sae: SparseAutoencoder,
    store: ActivationStore,
    config: TrainConfig,
    path: str | Path,
    *,
    replace: bool = False,
    wandb_project: str | None = None,
    progress: bool = True,
    force: bool = False,
) -> Run:
    """Train `sae` on `store` into the run folder `path`. Called again after a kill it continues where it stopped.

    Writes `config.json`, `metrics.jsonl`, `resume/` while training, and `sae/` at the end. θ is calibrated, and L0 and
    FVU recorded, on the store's holdout (without one, on rows kept back from training). With `replace`, a run at `path`
    is replaced, with its results and baselines, once the new one is finished, and is as it was until then.

    Raises `ConfigError` when the widths do not match or the folder holds something else, `BusyError` when another
    process is at work on the run or writes to the store, `MismatchError` when `sae` already belongs to another source
    (`force` overrides), `TrainingError` when training cannot go on.
    """
    _require_match({"": sae}, store, force)
    return _train({"": sae}, store, config, Path(path), replace, wandb_project, progress)[""]


@checked
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
    where it stands while the others are finished; then `TrainingError` names it and its reason. Raises `ConfigError`,
    besides what `train` raises, for a name that is none for a folder and for one SAE under two names.
    """
    if not saes:
        raise ConfigError("train_many was given no SAE")
    for name in saes:
        require(bool(_NAME.fullmatch(name)), "name", name, "letters, digits, ._- and spaces")
    if len({id(sae) for sae in saes.values()}) < len(saes):
        raise ConfigError(f"one SAE was given under two names ({', '.join(saes)}): each is trained, so each is its own")
    _require_match(saes, store, force)
    return _train(saes, store, config, Path(path), False, wandb_project, progress)


def _train(
    saes: Mapping[str, SparseAutoencoder],
    store: ActivationStore,
    config: TrainConfig,
    path: Path,
    replace: bool,
    wandb_project: str | None,
    progress: bool,
) -> dict[str, Run]:
    if wandb_project is not None:
        require_login()
    todo = _unfinished(saes, store, config, path)
    needed = sum(require_memory(sae.d_in, sae.d_sae, there=sae, device=str(sae.device)) for sae in todo.values())
    if progress:
        print(f"memory   {format_bytes(needed)} for weights, gradients and Adam's moments", file=sys.stderr)
    with contextlib.ExitStack() as held:
        held.enter_context(store.held())
        if store.holdout is not None:
            store.holdout.check()  # it is read at the end, when an altered file would cost the whole training
        sessions = {}
        for name, sae in todo.items():
            settings = run_config(sae, config, store.path, store.fingerprint, store.spec)
            run = held.enter_context(trained_into(path / name, settings, replace=replace))
            logged_to = None if wandb_project is None else WandbRun(project=wandb_project, name=name or path.name)
            sessions[name] = _Session(name, run, sae, store, config, settings, logged_to)
        _run(sessions, store, config, progress, len(saes), path)
    return {name: Run(path / name) for name in saes}


def _run(
    sessions: Mapping[str, _Session],
    store: ActivationStore,
    config: TrainConfig,
    progress: bool,
    n_saes: int,
    path: Path,
) -> None:
    """From where the least far one stands to the end."""
    failed: dict[str, MsaeError] = {}
    start = min(session.trainer.steps_done for session in sessions.values())
    batches = store.batches(config.batch_size, seed=config.seed, start=start)
    bar = ProgressBar(config.n_steps * config.batch_size, start * config.batch_size, visible=progress)
    try:
        with stop_held_back() as stop:
            for step in range(start, config.n_steps):
                x = next(batches)
                for name, session in sessions.items():
                    if name not in failed and session.trainer.steps_done == step:
                        _attempt(name, partial(session.step, x, bar), failed, n_saes)
                if len(failed) == len(sessions):
                    break
                if stop.requested is not None and step + 1 < config.n_steps:
                    for name, session in sessions.items():
                        if name not in failed:
                            session.keep(with_guess=True)
                    raise stop.requested(f"at step {step + 1:,} of {config.n_steps:,}, which is kept")
        for name, session in sessions.items():
            if name not in failed:
                _attempt(name, session.finish, failed, n_saes)
    finally:
        bar.close()
        batches.close()
        for session in sessions.values():
            session.close()
    if failed:
        reasons = "; ".join(f"{name!r}: {error}" for name, error in failed.items())
        raise TrainingError(
            f"{len(failed)} of {n_saes} SAEs failed, the others are finished in {path}. To run one again with other "
            f"settings, delete its folder there. {reasons}"
        )


def _require_match(saes: Mapping[str, SparseAutoencoder], store: ActivationStore, force: bool) -> None:
    for name, sae in saes.items():
        what = f"the SAE {name!r}" if name else "the SAE"
        if sae.d_in != store.d_in:
            raise ConfigError(f"{what} has d_in = {sae.d_in}, the store {store.path} has rows of {store.d_in}")
        if sae.source is not None:
            require_same_source(sae.source, store.spec, what=f"{what} and the store {store.path}", force=force)


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
        return dict(saes)  # nothing is left to do, which `trained_into` refuses
    for name in finished:
        require_same_settings(
            Run(path / name), run_config(saes[name], config, store.path, store.fingerprint, store.spec)
        )
    return {name: sae for name, sae in saes.items() if name not in finished}


class _Session:
    """One SAE's training: its trainer, its folder, its loggers. Nothing is written before there is something to log."""

    def __init__(
        self,
        name: str,
        run: Run,
        sae: SparseAutoencoder,
        store: ActivationStore,
        config: TrainConfig,
        settings: Mapping[str, Any],
        wandb: WandbRun | None,
    ) -> None:
        self.run, self.store, self.config = run, store, config
        self.settings, self.wandb = settings, wandb
        sae.source = store.spec
        reservoir_rows = 8192 if store.holdout is None else 0
        scaling = Scaling.from_moments(store.mean, store.mean_squared_norm)
        self.trainer = Trainer(sae, config, scaling, reservoir_rows=reservoir_rows)
        if has_state(run.folder.resume):
            load_state(self.trainer, run.folder.resume)
        self.resumed_at = self.trainer.steps_done
        self.watch = Stopwatch(self.trainer.tokens_done)
        self.levels = LevelWatch(name)

    @cached_property
    def loggers(self) -> list[Logger]:
        """Made with the first figures; by then the run has a record, and is one."""
        if not self.run.folder.is_run:
            write_json(self.run.folder.config, self.settings)
        loggers: list[Logger] = [JsonlLogger(self.run.folder.metrics, self.resumed_at)]
        if self.wandb is not None:
            loggers.append(WandbLogger(self.wandb, self.settings, self.run.folder))
        return loggers

    def step(self, x: Any, bar: ProgressBar) -> None:
        metrics = self.trainer.step(x)
        last = metrics.step == self.config.n_steps
        if metrics.step % self.config.log_every == 0 or last:
            self.trainer.synchronize()
            self.levels.look(self.trainer)
            self.trainer.require_live_levels()
            row = metrics_row(metrics, self.trainer) | {"tokens_per_second": round(self.watch.rate(metrics.tokens), 1)}
            if metrics.step % self.config.steps_between_checkpoints < self.config.log_every:
                row |= self._heldout()
            for logger in (*self.loggers, bar):
                logger.log(row)
        if metrics.step % self.config.steps_between_checkpoints == 0 or last:
            self.keep()

    def keep(self, *, with_guess: bool = False) -> None:
        """Write the state to go on from (`Trainer.state`)."""
        _ = self.loggers
        save_state(self.trainer, self.run.folder.resume, with_guess=with_guess)

    def _heldout(self) -> dict[str, Any]:
        """FVU and L0 of every level on rows never trained on, about as often as the state is kept; a store without a
        holdout has none. Before θ was set there is nothing to give."""
        holdout = self.store.holdout
        sae = self.trainer.sae
        if holdout is None or (sae.activation_fn.uses_threshold and torch.isnan(sae.threshold).any()):
            return {}
        figures = self.trainer.figures_on(holdout.rows(0, min(HELDOUT_ROWS, holdout.n_rows)))
        return {"heldout_fvu": [row.fvu for row in figures], "heldout_l0": [row.l0 for row in figures]}

    def finish(self) -> None:
        holdout = self.store.holdout
        sae = self.trainer.finish(holdout)
        rows = self.store if holdout is None else holdout
        probe = rows.gather([(row, row + 1) for row in spread_rows(rows.n_rows)]).float()
        save(sae, self.run.folder.sae, probe=probe)
        remove(self.run.folder.resume)

    def close(self) -> None:
        for logger in self.__dict__.get("loggers", ()):
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
