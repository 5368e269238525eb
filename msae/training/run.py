"""A run: the folder that holds a trained SAE with everything needed to repeat, resume and judge it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from msae.activations.store import ActivationStore
from msae.core.checked import checked
from msae.core.config import from_dict, from_typed_dict, to_dict, to_typed_dict
from msae.core.errors import CheckpointError, ConfigError, MismatchError
from msae.core.spec import SourceSpec
from msae.core.version import __version__
from msae.runs.record import FORMAT_VERSION, RunRecord
from msae.sae import ACTIVATION_FNS, ENCODERS, NESTINGS, ActivationFunction, Linear, SparseAutoencoder, load
from msae.sae.nesting import Nesting
from msae.sae.warm_start import fingerprint, warm_start
from msae.training.resume import has_state, load_state
from msae.training.scaling import Scaling
from msae.training.train_config import TrainConfig
from msae.training.trainer import Trainer


@checked
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

    def sae_so_far(self, store: ActivationStore) -> SparseAutoencoder:
        """The SAE of an unfinished run as it would be if training ended where its state was last kept: scaling folded
        in, θ calibrated on the store's holdout (without one, on the rows kept back). Nothing is written.

        Raises `CheckpointError` when no state was kept yet, `MismatchError` for a store of other rows.
        """
        if not has_state(self.folder.resume):
            raise CheckpointError(f"{self.path} has kept no state yet: there is no SAE to look at")
        if store.fingerprint != self.store_fingerprint:
            raise MismatchError(
                f"{self.path} is trained on the store of fingerprint {self.store_fingerprint}, {store.path} has "
                f"{store.fingerprint}: name the store it is trained on"
            )
        scaling = Scaling.from_moments(store.mean, store.mean_squared_norm)
        trainer = Trainer(self.new_sae(), self.train_config, scaling)
        trainer.sae.source = store.spec
        load_state(trainer, self.folder.resume)
        return trainer.finish(store.holdout)

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
