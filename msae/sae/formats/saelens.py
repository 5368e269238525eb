"""SAELens: ``cfg.json`` with ``sae_weights.safetensors``, as versions 3 to 6 write them; finished SAEs and checkpoints.

What an SAE does is spread over several fields, and passing one over gives a wrong SAE without a word: an old TopK SAE
calls itself ``standard`` and names its function in `activation_fn_str`. So every field is read, or known to change no
code, or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from msae.core.errors import CheckpointError
from msae.core.files import read_json
from msae.sae.activation_fns import ActivationFunction, BatchTopK, JumpReLU, ReLU, TopK
from msae.sae.formats.foreign import ForeignSae, Format, count_of, require_shapes
from msae.sae.formats.tensor_files import TensorFile, open_safetensors

CONFIG, WEIGHTS, SCALER = "cfg.json", "sae_weights.safetensors", "activation_scaler.json"

READ = {
    "activation_fn", "activation_fn_kwargs", "apply_b_dec_to_input", "architecture", "d_in", "d_sae", "dtype",
     "finetuning_scaling_factor", "k", "matryoshka_widths", "metadata", "noise_scale", "normalize_activations",
    "rescale_acts_by_decoder_norm", "sae_lens_version",
}  # fmt: skip
# How the SAE was trained, on what, and where it lies: nothing here changes a code.
SILENT = {
    "act_store_device", "aux_loss_coefficient", "b_dec_init_method", "context_size", "dataset_path",
    "dataset_trust_remote_code", "decoder_heuristic_init", "decoder_heuristic_init_norm", "decoder_init_norm", "device",
    "exclude_special_tokens", "hook_head_index", "hook_layer", "hook_name", "hook_point", "hook_point_head_index",
    "hook_point_layer", "init_encoder_as_decoder_transpose", "jumprelu_bandwidth", "jumprelu_init_threshold",
    "jumprelu_sparsity_loss_mode", "jumprelu_ste_to_input", "jumprelu_tanh_scale", "l0_coefficient", "l0_warm_up_steps",
    "l1_coefficient", "l1_warm_up_steps", "lp_norm", "model_class_name", "model_from_pretrained_kwargs", "model_name",
    "mse_loss_normalization", "neuronpedia_id", "normalize_sae_decoder", "pre_act_loss_coefficient", "prepend_bos",
    "reshape_activations", "sae_lens_training_version", "scale_sparsity_penalty_by_decoder_norm", "seqpos_slice",
    "sparsity_penalty", "store_batch_size", "target_l0", "tokenizer_name", "topk_threshold_lr", "use_ghost_grads",
    "use_matryoshka_aux_loss", "use_sparse_activations",
}  # fmt: skip
UNDONE = {
    "gated": "a gated encoder is two encoders, which msae does not have",
    "temporal": "a temporal SAE reads more than one row at a time",
    "matching_pursuit": "its codes are found one after the other",
    "abstopk": "its codes can be negative",
}


class SaeLens(Format):
    """A folder that SAELens wrote."""

    name = "saelens"

    def recognises(self, path: Path) -> bool:
        """A ``sae_weights.safetensors``."""
        return (path / WEIGHTS).is_file()

    def read(self, path: Path) -> ForeignSae:
        """See `Format.read`."""
        at = path / CONFIG
        config = _renamed(read_json(at, CheckpointError))
        metadata = config.get("metadata") or {}
        if not isinstance(metadata, Mapping):
            raise CheckpointError(f"{at}: metadata = {metadata!r}, expected an object")
        if unknown := set(config) - READ - SILENT:
            raise CheckpointError(f"{at} has fields that are not understood: {sorted(unknown)}; save it with SAELens 6")
        _refuse_what_changes_codes(config, at)
        architecture = _architecture(config, at)
        if architecture not in READERS:
            why = UNDONE.get(architecture, "it is not known here")
            raise CheckpointError(f"{at}: architecture {architecture!r} cannot be opened: {why}; use SAELens")
        d_in, d_sae = count_of(config, "d_in", at), count_of(config, "d_sae", at)
        tensors = open_safetensors(path / WEIGHTS)
        fn, threshold = READERS[architecture](config, metadata, tensors, d_in, d_sae)
        details = metadata.get("training_architecture_details") or {}
        widths = config.get("matryoshka_widths") or details.get("matryoshka_widths")
        foreign = ForeignSae(
            format=self.name,
            W_enc=tensors.read("W_enc"),
            b_enc=tensors.read("b_enc"),
            W_dec=tensors.read("W_dec"),
            b_dec=tensors.read("b_dec"),
            activation_fn=fn,
            threshold=threshold,
            subtracts_b_dec=bool(config.get("apply_b_dec_to_input", True)),
            selects_scaled=bool(config.get("rescale_acts_by_decoder_norm", False)),
            widths=tuple(widths) if widths else None,
            model=str(metadata.get("model_name") or config.get("model_name") or ""),
            hook_name=str(metadata.get("hook_name") or config.get("hook_name") or ""),
            claims={"l0": float(metadata["l0"])} if metadata.get("l0") else {},
        )
        return _unscaled(foreign, config.get("normalize_activations", "none"), path)


def _renamed(config: dict[str, Any]) -> dict[str, Any]:
    """A config of versions 3 to 5 in the words of version 6."""
    renames = {
        "hook_point": "hook_name",
        "hook_point_head_index": "hook_head_index",
        "activation_fn_str": "activation_fn",
    }
    config = {renames.get(key, key): value for key, value in config.items()}
    normalised = config.get("normalize_activations")
    if normalised is None or isinstance(normalised, bool):
        config["normalize_activations"] = "expected_average_only_in" if normalised else "none"
    return config


def _refuse_what_changes_codes(config: Mapping[str, Any], path: Path) -> None:
    if config.get("finetuning_scaling_factor"):
        raise CheckpointError(f"{path}: finetuning_scaling_factor is set, which msae has no place for; use SAELens")
    kwargs = config.get("activation_fn_kwargs") or {}
    if set(kwargs) - {"k"}:
        raise CheckpointError(f"{path}: activation_fn_kwargs = {kwargs!r} is not understood; use SAELens")


def _architecture(config: Mapping[str, Any], path: Path) -> str:
    architecture, fn = str(config.get("architecture", "standard")), config.get("activation_fn", "relu")
    if fn not in ("relu", "topk"):
        raise CheckpointError(f"{path}: activation_fn = {fn!r} cannot be opened (relu and topk can); use SAELens")
    return "topk" if architecture == "standard" and fn == "topk" else architecture


Reading = tuple[ActivationFunction, Tensor | None]


def _require(tensors: TensorFile, d_in: int, d_sae: int, extra: Mapping[str, tuple[int, ...]]) -> None:
    shapes = {"W_enc": (d_in, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
    require_shapes(tensors.shapes, {**shapes, **extra}, tensors.path)


def _standard(config: Mapping, metadata: Mapping, tensors: TensorFile, d_in: int, d_sae: int) -> Reading:
    _require(tensors, d_in, d_sae, {})
    return ReLU(l1_coefficient=float(config.get("l1_coefficient") or 0.0)), None


def _top_k(config: Mapping, metadata: Mapping, tensors: TensorFile, d_in: int, d_sae: int) -> Reading:
    _require(tensors, d_in, d_sae, {})
    k = config.get("k") or (config.get("activation_fn_kwargs") or {}).get("k")
    return TopK(count_of({"k": k}, "k", tensors.path.parent / CONFIG)), None


def _jumprelu(config: Mapping, metadata: Mapping, tensors: TensorFile, d_in: int, d_sae: int) -> Reading:
    name = "log_threshold" if "log_threshold" in tensors.shapes else "threshold"
    _require(tensors, d_in, d_sae, {name: (d_sae,)})
    threshold = tensors.read(name)
    l0 = metadata.get("l0") or config.get("target_l0") or d_sae
    return JumpReLU(l0=min(l0, d_sae)), threshold.exp() if name == "log_threshold" else threshold


def _batch_top_k(config: Mapping, metadata: Mapping, tensors: TensorFile, d_in: int, d_sae: int) -> Reading:
    """A checkpoint of training: once finished, SAELens writes these as jumprelu."""
    _require(tensors, d_in, d_sae, {"topk_threshold": ()})
    threshold = tensors.read("topk_threshold").float()
    return BatchTopK(config.get("k") or d_sae), threshold.expand(d_sae)


READERS: dict[str, Callable[..., Reading]] = {
    "standard": _standard,
    "topk": _top_k,
    "jumprelu": _jumprelu,
    "jumprelu_training": _jumprelu,
    "batchtopk": _batch_top_k,
    "matryoshka_batchtopk": _batch_top_k,
}


def _unscaled(foreign: ForeignSae, normalised: str, path: Path) -> ForeignSae:
    """The SAE for activations as they are, where a checkpoint was trained on scaled ones."""
    if normalised == "none":
        return foreign
    scaler = read_json(path / SCALER, CheckpointError) if (path / SCALER).is_file() else {}
    scale = scaler.get("scaling_factor")
    if normalised != "expected_average_only_in" or not isinstance(scale, int | float) or scaler.get("whitening"):
        raise CheckpointError(
            f"{path / CONFIG}: normalize_activations = {normalised!r} and {SCALER} has no "
            "scaling_factor: fold it in SAELens first"
        )
    threshold = foreign.threshold
    if threshold is not None and foreign.selects_scaled:
        threshold = threshold / scale
    return replace(
        foreign,
        W_enc=foreign.W_enc * scale,
        W_dec=foreign.W_dec / scale,
        b_dec=foreign.b_dec / scale,
        threshold=threshold,
    )
