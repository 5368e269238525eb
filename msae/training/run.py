"""A run: the folder that holds a trained SAE with everything needed to repeat, resume and judge it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from msae.core.config import from_dict, from_typed_dict, to_dict, to_typed_dict
from msae.core.errors import CheckpointError, ConfigError
from msae.core.files import write_json
from msae.core.spec import SourceSpec
from msae.sae import ACTIVATION_FNS, NESTINGS, SparseAutoencoder, load
from msae.training.config import TrainConfig
from msae.training.loggers import whole_lines

FORMAT_VERSION = 1
PARTS = {"format_version", "sae", "training", "store"}
CONFIG, SAE, METRICS, RESUME, RESULTS = "config.json", "sae", "metrics.jsonl", "resume", "results"


@dataclass(frozen=True)
class Run:
    """The run in the folder `path`."""

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run at `path`; `CheckpointError` when there is none."""
        run = cls(Path(path))
        _ = run.config
        return run

    @cached_property
    def config(self) -> dict[str, Any]:
        """`config.json`: the SAE's shape, activation function and nesting, the training, the store."""
        path = self.path / CONFIG
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise CheckpointError(f"{self.path} is not a run: it has no {CONFIG}") from error
        except ValueError as error:
            raise CheckpointError(f"{path} is not readable JSON: {error}") from error
        if not isinstance(config, dict) or not config.keys() >= PARTS:
            raise CheckpointError(f"{self.path} is not a run: its {CONFIG} is not ours, it lacks {sorted(PARTS)}")
        return config

    @cached_property
    def train_config(self) -> TrainConfig:
        """The training part of the config."""
        return from_dict(TrainConfig, self.config["training"])

    @property
    def store_path(self) -> Path:
        """Where the store lay that the run was trained on."""
        return Path(self.config["store"]["path"])

    @property
    def results(self) -> Path:
        """The folder of result tables."""
        return self.path / RESULTS

    @property
    def is_finished(self) -> bool:
        """Whether the trained SAE is there."""
        return (self.path / SAE / "cfg.json").is_file()

    @cached_property
    def sae(self) -> SparseAutoencoder:
        """The trained SAE, checked against its records; `CheckpointError` while the run is unfinished."""
        if not self.is_finished:
            raise CheckpointError(f"{self.path} is not finished: resume it first (msae train --resume, or train(...))")
        return load(self.path / SAE)

    def new_sae(self) -> SparseAutoencoder:
        """The SAE as it was before the first step."""
        shape = self.config["sae"]
        return SparseAutoencoder(
            shape["d_in"],
            shape["d_sae"],
            from_typed_dict(ACTIVATION_FNS, shape["activation_fn"]),
            from_typed_dict(NESTINGS, shape["nesting"]),
            seed=shape["seed"],
        )

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`."""
        path = self.path / METRICS
        return [json.loads(line) for line in whole_lines(path)]

    def __repr__(self) -> str:
        state = "finished" if self.is_finished else "unfinished"
        shape = self.config["sae"]
        return f"Run({str(self.path)!r}: {state}, d_sae {shape['d_sae']}, {shape['activation_fn']['type']})"


def run_config(
    sae: SparseAutoencoder, config: TrainConfig, store_path: Path, store_fingerprint: str, spec: SourceSpec
) -> dict[str, Any]:
    """What `config.json` holds: complete, so that the run can be repeated from it alone."""
    return {
        "format_version": FORMAT_VERSION,
        "sae": {
            "d_in": sae.d_in,
            "d_sae": sae.d_sae,
            "activation_fn": to_typed_dict(sae.activation_fn),
            "nesting": to_typed_dict(sae.nesting),
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
    if not (path / CONFIG).is_file():
        if path.exists() and (not path.is_dir() or any(not child.name.startswith(".") for child in path.iterdir())):
            raise ConfigError(f"{path} exists and is not a run: choose another folder, or empty this one")
        write_json(path / CONFIG, config)
        return run
    if run.is_finished:
        raise ConfigError(
            f"{path} holds a finished run. To replace it, delete the folder (or use --replace); "
            "to train another, choose another folder."
        )
    require_same_settings(run, config)
    return run


def require_same_settings(run: Run, config: dict[str, Any]) -> None:
    """Raise `ConfigError` naming every setting in which `run` differs from `config` (where the store lies is none)."""
    ours, theirs = _flat(config), _flat(run.config)
    different = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key) and key != "store.path"]
    if different:
        said = ", ".join(f"{key} {theirs.get(key)!r} -> {ours.get(key)!r}" for key in sorted(different))
        state = "a finished" if run.is_finished else "an unfinished"
        raise ConfigError(
            f"{run.path} holds {state} run with other settings ({said}). "
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
