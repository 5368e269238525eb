"""A run: the folder that holds a trained SAE with everything needed to repeat, resume and judge it."""

from __future__ import annotations

import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

from msae.core.config import from_dict, from_typed_dict, to_dict, to_typed_dict
from msae.core.errors import CheckpointError, ConfigError
from msae.core.files import write_json
from msae.core.spec import SourceSpec
from msae.core.version import __version__
from msae.runs.record import FORMAT_VERSION, RunRecord
from msae.sae import ACTIVATION_FNS, ENCODERS, NESTINGS, ActivationFunction, Linear, SparseAutoencoder, load
from msae.sae.nesting import Nesting
from msae.sae.warm_start import fingerprint, warm_start
from msae.training.train_config import TrainConfig

NOT_COMPARED = ("store.path", "msae_version", "sae.from.path")
"""What may differ when a run is continued: where the store and the SAE it started from lie, which msae began it."""


class Run(RunRecord):
    """The run in the folder `path`."""

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run at `path`; `CheckpointError` when there is none."""
        run = cls(Path(path))
        _ = run.config
        return run

    @cached_property
    def train_config(self) -> TrainConfig:
        """The training part of the config; `CheckpointError` when it is not one, or the SAE was not trained here."""
        if self.adopted:
            raise CheckpointError(f"{self.path} was adopted from {self.adopted.get('path')}: it was not trained here")
        try:
            return from_dict(TrainConfig, self.config["training"])
        except ConfigError as error:
            raise self._unreadable("training", error) from error

    @cached_property
    def nesting(self) -> Nesting:
        """How its latents are nested."""
        try:
            return from_typed_dict(NESTINGS, self.config["sae"]["nesting"])
        except (ConfigError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable("sae.nesting", error) from error

    @property
    def prefix_widths(self) -> tuple[int, ...]:
        """The width of every level, as the config has it: no weights are read."""
        return self.nesting.eval_widths(self.config["sae"]["d_sae"])

    @property
    def sae(self) -> SparseAutoencoder:
        """The trained SAE, on the CPU: `load_sae()`. Each call reads it anew, so what is done to one is not done to
        another; keep it in a variable."""
        return self.load_sae()

    def load_sae(self, *, device: str | None = None) -> SparseAutoencoder:
        """A fresh copy of the trained SAE on `device` (None: the CPU), checked against its records.

        Raises `CheckpointError` while the run is unfinished, and what `msae.load` raises.
        """
        if not self.is_finished:
            raise CheckpointError(f"{self.path} is not finished: resume it first (msae train --resume, or train(...))")
        return load(self.folder.sae, device=device or "cpu")

    def new_sae(self) -> SparseAutoencoder:
        """The SAE as it was before the first step: a new one, or that it continues from, if it is still there."""
        shape = self.config["sae"]
        try:
            activation_fn = from_typed_dict(ACTIVATION_FNS, shape["activation_fn"])
            encoder = from_typed_dict(ENCODERS, shape["encoder"]) if "encoder" in shape else Linear()
            if "from" in shape:
                return self._started_from(shape["from"], activation_fn)
            sizes, seed = (shape["d_in"], shape["d_sae"]), shape["seed"]
            return SparseAutoencoder(*sizes, activation_fn, self.nesting, encoder=encoder, seed=seed)
        except (ConfigError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable("sae", error) from error

    def _started_from(self, origin: dict[str, Any], activation_fn: ActivationFunction) -> SparseAutoencoder:
        if origin["path"] is None:
            raise CheckpointError(f"{self.path} continues from an SAE that lay in no folder: it cannot be opened again")
        sae = warm_start(load(origin["path"]), activation_fn=activation_fn, nesting=self.nesting)
        if fingerprint(sae) != origin["weights"]:
            raise CheckpointError(f"{origin['path']} is not the SAE that {self.path} continues from: it was changed")
        return sae

    def __repr__(self) -> str:
        state = "finished" if self.is_finished else "unfinished"
        shape = self.config["sae"]
        return f"Run({str(self.path)!r}: {state}, d_sae {shape['d_sae']}, {shape['activation_fn']['type']})"


def run_config(
    sae: SparseAutoencoder, config: TrainConfig, store_path: Path, store_fingerprint: str, spec: SourceSpec
) -> dict[str, Any]:
    """What `config.json` holds: complete, so that the run can be repeated from it alone."""
    # Written only where it says something, so that runs begun before there was a choice can be resumed.
    parts = {} if sae.encoder == Linear() else {"encoder": to_typed_dict(sae.encoder)}
    if sae.trained:
        parts["from"] = {"path": sae.loaded_from, "weights": fingerprint(sae)}
    return {
        "format_version": FORMAT_VERSION,
        "msae_version": __version__,
        "sae": {
            "d_in": sae.d_in,
            "d_sae": sae.d_sae,
            "activation_fn": to_typed_dict(sae.activation_fn),
            "nesting": to_typed_dict(sae.nesting),
            **parts,
            "seed": sae.seed,
        },
        "training": to_dict(config),
        "store": {"path": str(store_path), "fingerprint": store_fingerprint, "source": to_dict(spec)},
    }


def begin_run(path: Path, config: dict[str, Any]) -> Run:
    """Make the run folder, or find the unfinished run of the very same config there.

    Raises `ConfigError` when a finished run, another run, or anything else lies at `path`.
    """
    run = Run(path)
    if not run.folder.is_run:
        if path.exists() and (not path.is_dir() or any(not child.name.startswith(".") for child in path.iterdir())):
            raise ConfigError(f"{path} exists and is not a run: choose another folder, or empty this one")
        write_json(run.folder.config, config)
        return run
    if run.is_finished:
        raise ConfigError(
            f"{path} holds a finished run. To replace it, delete the folder (or use --replace); "
            "to train another, choose another folder."
        )
    require_same_settings(run, config)
    return run


def require_same_settings(run: Run, config: dict[str, Any]) -> None:
    """Raise `ConfigError` naming every setting in which `run` differs from `config` (`NOT_COMPARED` left out).

    A field that the run's version did not have stands as what it means when it is not given.
    """
    source = {"source": to_dict(from_dict(SourceSpec, run.config["store"]["source"]))}
    theirs = _flat(run.config | {"store": run.config["store"] | source, "training": to_dict(run.train_config)})
    ours = _flat(config)
    different = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key) and key not in NOT_COMPARED]
    if different:
        changes = ", ".join(f"{key} {theirs.get(key)!r} -> {ours.get(key)!r}" for key in sorted(different))
        state = "a finished" if run.is_finished else "an unfinished"
        raise ConfigError(
            f"{run.path} holds {state} run with other settings ({changes}). "
            "Use the settings it has, replace it (--replace), or choose another folder."
        )


def remove_run(path: Path) -> None:
    """Delete the run at `path`, with its results, and nothing else: `CheckpointError` for a folder that is no run."""
    _ = Run.open(path).config
    shutil.rmtree(path)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        path: leaf
        for key, item in value.items()
        for path, leaf in _flat(item, f"{prefix}.{key}" if prefix else key).items()
    }
