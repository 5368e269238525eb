"""dictionary_learning (saprmarks/dictionary_learning): ``ae.pt`` with ``config.json``, or a backup of a training run.

Thresholds of BatchTopK and Matryoshka are one number, −1 until training has set it. Matryoshka's group sizes are not
cumulative. JumpReLU and the April-update autoencoder do not subtract b_dec. Biases have the scale of the activations,
since the trainer multiplies them back before it saves.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from msae.core.errors import CheckpointError
from msae.core.files import read_json
from msae.sae.activation_fns import BatchTopK, JumpReLU, ReLU, TopK
from msae.sae.formats.foreign import ForeignSae, Format, count_of, nested_widths, require_shapes
from msae.sae.formats.tensor_files import TensorFile, open_pt

REFUSED = {
    "GatedAutoEncoder": "a gated encoder is two encoders, which msae does not have",
    "IdentityDict": "it has no weights",
}


class DictionaryLearning(Format):
    """A folder with ``ae.pt`` and ``config.json``, or an ``ae_STEP.pt`` of its ``checkpoints`` folder."""

    name = "dictionary_learning"

    def recognises(self, path: Path) -> bool:
        """An ``ae.pt`` with the trainer's ``config.json`` next to it or one folder up."""
        weights, config = _files(path)
        return weights is not None and config is not None

    def read(self, path: Path) -> ForeignSae:
        """See `Format.read`."""
        weights, config_path = _files(path)
        if weights is None or config_path is None:
            raise CheckpointError(f"{path} holds no ae.pt with a config.json: not a dictionary_learning folder")
        trainer = read_json(config_path, CheckpointError).get("trainer")
        if not isinstance(trainer, Mapping):
            raise CheckpointError(f"{config_path} has no object under 'trainer': not a dictionary_learning config")
        kind = trainer.get("dict_class")
        if kind in REFUSED:
            raise CheckpointError(
                f"{config_path}: dict_class {kind!r} cannot be opened: {REFUSED[kind]}; use dictionary_learning"
            )
        if kind not in READERS:
            raise CheckpointError(f"{config_path}: dict_class {kind!r} is not one of {sorted(READERS)}")
        tensors = open_pt(weights, inner="ae")
        d_in, d_sae = count_of(trainer, "activation_dim", config_path), count_of(trainer, "dict_size", config_path)
        hook = trainer.get("submodule_name")
        fields = READERS[kind](trainer, tensors, d_in, d_sae)
        return ForeignSae(
            format=self.name, model=str(trainer.get("lm_name") or ""), hook_name=str(hook or ""), **fields
        )


def _files(path: Path) -> tuple[Path | None, Path | None]:
    weights = path / "ae.pt" if path.is_dir() else path
    if weights.suffix != ".pt" or not weights.is_file():
        return None, None
    near = (weights.parent / "config.json", weights.parent.parent / "config.json")
    return weights, next((config for config in near if config.is_file()), None)


def _columns(tensors: TensorFile, d_in: int, d_sae: int, extra: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """The parameters of dictionaries that keep `W_enc` and `W_dec` as they are written in formulas."""
    shapes = {"W_enc": (d_in, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
    require_shapes(tensors.shapes, shapes | extra, tensors.path)
    return {name: tensors.read(name) for name in shapes}


def _linears(
    tensors: TensorFile, d_in: int, d_sae: int, b_dec: str, extra: dict[str, tuple[int, ...]]
) -> dict[str, Any]:
    """The parameters of dictionaries made of two `nn.Linear`, whose weights are transposed."""
    shapes = {
        "encoder.weight": (d_sae, d_in),
        "encoder.bias": (d_sae,),
        "decoder.weight": (d_in, d_sae),
        b_dec: (d_in,),
    }
    require_shapes(tensors.shapes, shapes | extra, tensors.path)
    return {
        "W_enc": tensors.read("encoder.weight").T,
        "b_enc": tensors.read("encoder.bias"),
        "W_dec": tensors.read("decoder.weight").T,
        "b_dec": tensors.read(b_dec),
    }


def _one_threshold(tensors: TensorFile, d_sae: int) -> torch.Tensor:
    threshold = tensors.read("threshold").item()
    if threshold < 0:
        raise CheckpointError(
            f"{tensors.path}: threshold = {threshold:g}, so training stopped before it was set, and single rows "
            "have no codes; train it for more than threshold_start_step steps"
        )
    return torch.full((d_sae,), threshold)


def _matryoshka(trainer: Mapping[str, Any], tensors: TensorFile, d_in: int, d_sae: int) -> dict[str, Any]:
    groups = tensors.shapes.get("group_sizes", ())
    fields = _columns(tensors, d_in, d_sae, {"k": (), "threshold": (), "group_sizes": groups})
    widths = nested_widths(tensors.read("group_sizes").tolist())
    if widths[-1] != d_sae:
        raise CheckpointError(f"{tensors.path}: group_sizes sum to {widths[-1]}, expected dict_size = {d_sae}")
    k = int(tensors.read("k"))
    return fields | {"activation_fn": BatchTopK(k), "threshold": _one_threshold(tensors, d_sae), "widths": widths}


def _batch_top_k(trainer: Mapping[str, Any], tensors: TensorFile, d_in: int, d_sae: int) -> dict[str, Any]:
    fields = _linears(tensors, d_in, d_sae, "b_dec", {"k": (), "threshold": ()})
    return fields | {"activation_fn": BatchTopK(int(tensors.read("k"))), "threshold": _one_threshold(tensors, d_sae)}


def _top_k(trainer: Mapping[str, Any], tensors: TensorFile, d_in: int, d_sae: int) -> dict[str, Any]:
    fields = _linears(tensors, d_in, d_sae, "b_dec", {"k": (), "threshold": ()})
    return fields | {"activation_fn": TopK(int(tensors.read("k")))}


def _jumprelu(trainer: Mapping[str, Any], tensors: TensorFile, d_in: int, d_sae: int) -> dict[str, Any]:
    fields = _columns(tensors, d_in, d_sae, {"threshold": (d_sae,)})
    l0 = trainer.get("target_l0")
    fn = JumpReLU(l0=l0 if isinstance(l0, int | float) and 0 < l0 <= d_sae else d_sae)
    return fields | {"activation_fn": fn, "threshold": tensors.read("threshold"), "subtracts_b_dec": False}


def _standard(trainer: Mapping[str, Any], tensors: TensorFile, d_in: int, d_sae: int) -> dict[str, Any]:
    return _linears(tensors, d_in, d_sae, "bias", {}) | {"activation_fn": ReLU(l1_coefficient=0.0)}


def _april_update(trainer: Mapping[str, Any], tensors: TensorFile, d_in: int, d_sae: int) -> dict[str, Any]:
    fields = _linears(tensors, d_in, d_sae, "decoder.bias", {})
    return fields | {"activation_fn": ReLU(l1_coefficient=0.0), "subtracts_b_dec": False}


READERS = {
    "AutoEncoder": _standard,
    "AutoEncoderNew": _april_update,
    "AutoEncoderTopK": _top_k,
    "BatchTopKSAE": _batch_top_k,
    "JumpReluAutoEncoder": _jumprelu,
    "MatryoshkaBatchTopKSAE": _matryoshka,
}
