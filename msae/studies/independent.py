"""Independent baselines of a nested run: for every prefix width an `Unnested` SAE of that width, trained independently.

Each reads the same batches as the nested run did, with the L0 that the prefix of its width measured as its target. So
what differs is the nesting alone. They lie in ``RUN/independent/<width>``, each a run of its own.
"""

from __future__ import annotations

from pathlib import Path

from msae.activations.store import ActivationStore
from msae.core.checked import checked
from msae.core.errors import ConfigError, MismatchError
from msae.core.rng import stream_seed
from msae.sae import ActivationFunction, SparseAutoencoder, Unnested
from msae.sae.autoencoder import LevelRecord
from msae.training import Run, train_many
from msae.training.run import run_config
from msae.training.run_folder import require_same_settings

_STREAM = "independent"


@checked
def train_independent(
    run: Run,
    *,
    store: str | Path | None = None,
    device: str | None = None,
    wandb_project: str | None = None,
    progress: bool = True,
) -> dict[int, Run]:
    """Train what is missing of the baselines of a finished run, from one reading of the store; they come by width.

    `store`: where the run's store is, if it has moved. Called again after a kill, it continues where it stopped.

    Raises `CheckpointError` while the run is unfinished, `MismatchError` when the store has other rows, and
    `ConfigError` for a run of one level, one with no L0 to ask for, or baselines there of other settings.
    """
    rows = ActivationStore.open_for(store or run.store_path, run.source)
    recorded = run.store_fingerprint
    if rows.fingerprint != recorded:
        raise MismatchError(
            f"the store {rows.path} (fingerprint {rows.fingerprint}) is not the one {run.path} was trained on "
            f"({recorded}): baselines must see the same tokens; name the store it was trained on (--store)"
        )
    saes = independent_saes(run, device=device or "cpu")
    there = {width: Run(run.folder.baseline(width).path) for width in saes}
    if all(baseline.is_finished for baseline in there.values()):
        for width, baseline in there.items():
            settings = run_config(saes[width], run.train_config, rows.path, rows.fingerprint, rows.spec)
            require_same_settings(baseline, settings)
        return there
    named = {str(width): sae for width, sae in saes.items()}
    path = run.folder.independent
    trained = train_many(named, rows, run.train_config, path, wandb_project=wandb_project, progress=progress)
    return {int(name): baseline for name, baseline in trained.items()}


def independent_saes(run: Run, *, device: str = "cpu") -> dict[int, SparseAutoencoder]:
    """The baselines as they are before the first step, by width.

    The activation function is the run's, asking for the L0 recorded for the prefix (TopK: rounded to a whole number).
    Each has a seed of its own, drawn from the run's: with one seed for all, the directions of the narrow ones would
    begin as those of the wide ones.

    Raises `ConfigError` for a run of one level, for ReLU (it has no target L0), and for a prefix that never fires.
    """
    nested, seed = run.sae, run.config["sae"]["seed"]
    if nested.n_levels == 1:
        raise ConfigError(f"{run.path} has one level, of width {nested.d_sae}: there are no prefixes to compare with")
    return {
        level.width: SparseAutoencoder(
            nested.d_in,
            level.width,
            _asking_for(nested.activation_fn, level),
            Unnested(),
            seed=stream_seed(seed, f"{_STREAM}/{level.width}") % 2**31,
            device=device,
        )
        for level in nested.recorded
    }


def independent_runs(run: Run) -> dict[int, Run]:
    """The baselines that were begun for `run`, finished or not, by width; the smallest first."""
    return {width: Run(folder.path) for width, folder in run.folder.baselines().items()}


def _asking_for(fn: ActivationFunction, level: LevelRecord) -> ActivationFunction:
    """`fn` with the L0 recorded for `level` as its target."""
    if level.l0 == 0:
        raise ConfigError(f"the prefix of width {level.width} never fires: there is no L0 to match")
    if fn.target_l0() is None:
        raise ConfigError(f"{fn} has no L0 to ask for: its L0 follows from its other settings")
    return fn.for_prefix(level.width, level.l0)
