"""Saving and loading an SAE. The folder has the SAELens 6 inference layout: SAELens, SAEBench and Neuronpedia open it.

cfg.json                 SAELens' fields; ours (levels, nesting, activation function, source, records) in metadata.msae
sae_weights.safetensors  W_enc, b_enc, W_dec, b_dec (+ threshold)
probe.safetensors        x: rows of activations; fires: on how many of them each latent fires (`msae.sae.self_check`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from msae.core.checked import checked
from msae.core.config import from_dict, from_typed_dict, require, to_dict, to_typed_dict
from msae.core.device import usable_device
from msae.core.errors import CheckpointError, ConfigError
from msae.core.files import read_json, write_json, write_tensors
from msae.core.hook_names import HEADS, legacy_name
from msae.core.numerics import RowArray, as_rows
from msae.core.spec import SourceSpec
from msae.core.version import __version__
from msae.runs.layout import SAE_CONFIG, RunFolder, holds_sae
from msae.sae.activation_fns import ACTIVATION_FNS, ActivationFunction
from msae.sae.autoencoder import LevelRecord, SparseAutoencoder
from msae.sae.encoders import ENCODERS, Encoder, Linear
from msae.sae.formats import as_sparse_autoencoder, read_foreign
from msae.sae.formats.tensor_files import open_safetensors
from msae.sae.nesting import NESTINGS, Nesting
from msae.sae.pointer import read_pointer
from msae.sae.reorder import with_widths
from msae.sae.self_check import WeightSums, behaviour, check_behaviour, check_weights, spread_rows

FORMAT_VERSION = 1
SAE_LENS_VERSION = "6.54.12"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What msae keeps of an SAE in ``metadata.msae``, besides SAELens' fields.

    `encoder`: None for a linear one. `version`: of the msae that saved it. `recorded`: figures of every level on
    held-out rows; `probe`: the same on the stored probe rows. `weights`: the sums of the weights; None in folders
    written before there were any.
    """

    activation_fn: Mapping[str, Any]
    nesting: Mapping[str, Any]
    encoder: Mapping[str, Any] | None = None
    source: SourceSpec | None = None
    recorded: tuple[LevelRecord, ...] = ()
    probe: tuple[LevelRecord, ...] | None = None
    weights: WeightSums | None = None
    format_version: int = FORMAT_VERSION
    version: str | None = None


@checked
def save(sae: SparseAutoencoder, path: str | Path, probe: RowArray | None = None) -> Path:
    """Write `sae` to the folder `path` (each file whole or not at all; `cfg.json` last) and return it.

    `probe`: rows of activations, of which at most 1,024, evenly spread, are kept: on these `load` will check L0 and FVU
    of every level and how often each latent fires. The weights' SHA-256 sums, one a level, are kept in any case.
    Raises `CheckpointError` for weights that are not finite or a threshold that was never set.
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu() for name, tensor in sae.named_parameters()}
    if not sae.activation_fn.uses_threshold:
        del tensors["threshold"]
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            hint = "finish training first" if name == "threshold" else "the SAE has diverged"
            raise CheckpointError(f"{name} holds values that are not finite ({hint}); {path} was not written")
    recorded: dict[str, Any] = {}
    if probe is not None:
        probe = as_rows(probe, sae.d_in, "the probe")
        require(len(probe) > 0, "probe", tuple(probe.shape), "at least one row")
        if not torch.isfinite(probe).all():
            raise CheckpointError(f"the probe rows hold values that are not finite; {path} was not written")
        probe = probe[spread_rows(len(probe))].detach().cpu().float().clone()
        figures, fires = behaviour(sae, probe)
        recorded = {"probe": [to_dict(level) for level in figures]}
        write_tensors(path / "probe.safetensors", {"x": probe, "fires": fires.int()})
    recorded["weights"] = to_dict(WeightSums.of(tensors, sae.prefix_widths))
    write_tensors(path / "sae_weights.safetensors", tensors)
    write_json(path / SAE_CONFIG, _config(sae, recorded))
    return path


@checked
def load(
    path: str | Path, *, widths: Sequence[int] | None = None, device: str = "cpu", check: bool = True
) -> SparseAutoencoder:
    """Open an SAE: a run's, one saved by msae, or one of `msae.sae.formats.FORMATS`; it comes in `eval()` mode.

    `widths`: cumulative prefix widths that you name, ending at d_sae; None takes those of the file. Nothing checks that
    the SAE was trained with them: `msae.level_report` says whether they behave like levels.

    Raises `CheckpointError` when files are missing, cut off, of no known format, or say something of the SAE that msae
    cannot represent (the field is named), and (`check`, an SAE saved by msae) when the weights of any level are not
    those that were saved, or what they do on the stored probe rows is not what was recorded; `ConfigError` for widths
    that do not end at d_sae, and for a device that is not there.
    """
    path, place = Path(path), usable_device(device)
    if not holds_sae(path) and RunFolder(path).is_finished:
        path = RunFolder(path).sae
    pointer = read_pointer(path) if holds_sae(path) else None
    if pointer:
        target, named, source = pointer
        sae = load(target, widths=named if widths is None else widths, check=check)
        sae.source = source
    elif not is_ours(path):
        sae = as_sparse_autoencoder(read_foreign(path), widths)
    else:
        sae = _load_own(path, check=check)
        sae = sae if widths is None else with_widths(sae, widths)
    sae.loaded_from = str(path.absolute())
    return sae.to(place)


def is_ours(path: Path) -> bool:
    """Whether msae saved this, or SAELens saved again what msae had: its metadata then still has ours."""
    if not holds_sae(path):
        return False
    metadata = read_json(path / SAE_CONFIG, CheckpointError).get("metadata")
    return isinstance(metadata, dict) and "msae" in metadata


def _load_own(path: Path, *, check: bool) -> SparseAutoencoder:
    config = _read_config(path / SAE_CONFIG)
    ours = _record(config, path / SAE_CONFIG)
    _require_shapes(config, path)
    tensors = _read_tensors(path / "sae_weights.safetensors")
    sae = _described(config, ours, path / SAE_CONFIG)
    expected = {name: tuple(parameter.shape) for name, parameter in sae.named_parameters() if name in tensors}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    missing = {"W_enc", "b_enc", "W_dec", "b_dec"} - set(given)
    if sae.activation_fn.uses_threshold:
        missing |= {"threshold"} - set(given)
    if missing or expected != given:
        raise CheckpointError(
            f"{path / 'sae_weights.safetensors'} holds {given}, cfg.json calls for {expected}"
            + (f" and {sorted(missing)}" if missing else "")
        )
    if check and ours.weights is not None:
        check_weights(tensors, sae.prefix_widths, ours.weights, path)
    with torch.no_grad():
        for name, tensor in tensors.items():
            sae.get_parameter(name).copy_(tensor)
    sae.source, sae.recorded, sae.trained = ours.source, ours.recorded, True
    sae.eval()
    if check and ours.probe is not None:
        _self_check(sae, path, ours.probe)
    return sae


def _require_shapes(config: dict[str, Any], path: Path) -> None:
    """Raise `CheckpointError` unless the weights have the shapes that ``cfg.json`` calls for. Only headers are read: a
    few bytes of JSON could call for more memory than there is."""
    d_in, d_sae, dtype = config["d_in"], config["d_sae"], getattr(torch, str(config["dtype"])[-20:], None)
    if (
        type(d_in) is not int
        or type(d_sae) is not int
        or not isinstance(dtype, torch.dtype)
        or not dtype.is_floating_point
    ):
        raise CheckpointError(
            f"{path / SAE_CONFIG} does not describe an SAE: d_in = {d_in!r}, d_sae = {d_sae!r}, "
            f"dtype = {config['dtype']!r}; was it edited? Copy it again"
        )
    weights = path / "sae_weights.safetensors"
    given = open_safetensors(weights).shapes
    called_for = {"W_enc": (d_in, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
    wrong = {name: given.get(name) for name, shape in called_for.items() if given.get(name) != shape}
    if wrong:
        raise CheckpointError(
            f"{path / SAE_CONFIG} says d_in = {d_in} and d_sae = {d_sae}, {weights.name} holds {wrong}: copy both again"
        )


def written_by(path: str | Path) -> str:
    """What saved the SAE in the folder `path`: msae with its version, or another program."""
    path = Path(path)
    if not is_ours(path):
        return "another program"
    version = _record(_read_config(path / SAE_CONFIG), path / SAE_CONFIG).version
    return f"msae {version or '0.1.0 or before'}"


def _record(config: dict[str, Any], path: Path) -> Record:
    """Ours of a ``cfg.json``."""
    found = config["metadata"]["msae"]
    version = found.get("format_version", FORMAT_VERSION) if isinstance(found, dict) else FORMAT_VERSION
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise CheckpointError(f"this SAE has format {version}, this msae reads up to {FORMAT_VERSION}: upgrade msae")
    try:
        return from_dict(Record, found)
    except ConfigError as error:
        raise CheckpointError(f"{path} does not describe an SAE: {error}; was it edited? Copy it again") from error


def _described(config: dict[str, Any], ours: Record, path: Path) -> SparseAutoencoder:
    """The SAE that ``cfg.json`` calls for, its weights not yet read."""
    try:
        dtype = getattr(torch, str(config["dtype"]).removeprefix("torch."))
        fn, nesting, encoder = _parts(ours)
        return SparseAutoencoder(config["d_in"], config["d_sae"], fn, nesting, encoder=encoder, dtype=dtype)
    except (ConfigError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} does not describe an SAE: {error}; was it edited? Copy it again") from error


def _config(sae: SparseAutoencoder, recorded: dict[str, Any]) -> dict[str, Any]:
    source, fn = sae.source, sae.activation_fn
    hook_name = _saelens_hook(source)
    metadata: dict[str, Any] = {
        "sae_lens_version": SAE_LENS_VERSION,
        "sae_lens_training_version": SAE_LENS_VERSION,
        "model_name": source.model if source else "",
        "hook_name": hook_name,
        "hook_head_index": None,
        "context_size": source.context_size if source else None,
        "prepend_bos": source.prepend_bos if source else None,
        "seqpos_slice": [None],
        "model_from_pretrained_kwargs": {},
        "training_architecture": f"matryoshka_{fn.label()}",
        "training_architecture_details": {
            "matryoshka_widths": list(sae.prefix_widths),
            "k": fn.target_l0(),
        },
        "msae": {
            "format_version": FORMAT_VERSION,
            "version": __version__,
            "activation_fn": to_typed_dict(fn),
            "nesting": to_typed_dict(sae.nesting),
            "source": to_dict(source) if source else None,
            "recorded": [to_dict(record) for record in sae.recorded],
            **recorded,
        },
    }
    if sae.recorded:
        metadata["l0"] = sae.recorded[-1].l0
    # Written only where it says something, so that folders stay as they were before there was a choice.
    if sae.encoder != Linear():
        metadata["msae"]["encoder"] = to_typed_dict(sae.encoder)
    return {
        "architecture": fn.saelens or f"msae_{fn.label()}",
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "dtype": str(sae.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "hook_z" if hook_name.endswith(HEADS) else "none",
        "metadata": metadata,
        **fn.saelens_fields(),
    }


def _saelens_hook(source: SourceSpec | None) -> str:
    """The name that SAELens' model has for the hook, where it has one; else that of TransformerLens 4."""
    if source is None:
        return ""
    # Stores of older versions do not hold what the model told.
    return source.legacy_hook_name or legacy_name(source.hook_name) or source.hook_name


def _parts(ours: Record) -> tuple[ActivationFunction, Nesting, Encoder]:
    encoder = Linear() if ours.encoder is None else from_typed_dict(ENCODERS, ours.encoder)
    return from_typed_dict(ACTIVATION_FNS, ours.activation_fn), from_typed_dict(NESTINGS, ours.nesting), encoder


def _read_config(path: Path) -> dict[str, Any]:
    config = read_json(path, CheckpointError, hint=f"{path.parent} is not a saved SAE, or was cut off")
    if missing := {"architecture", "d_in", "d_sae", "dtype"} - set(config):
        raise CheckpointError(f"{path} lacks {sorted(missing)}: not a SAELens 6 folder")
    return config


def _read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); it is missing or cut off: copy it again") from error


def _self_check(sae: SparseAutoencoder, path: Path, recorded: Sequence[LevelRecord]) -> None:
    tensors = _read_tensors(path / "probe.safetensors")
    probe, fires = tensors.get("x"), tensors.get("fires")
    if probe is None or probe.ndim != 2 or probe.shape[1] != sae.d_in:
        raise CheckpointError(f"{path / 'probe.safetensors'} does not hold rows of width {sae.d_in}: copy it again")
    if fires is not None and fires.shape != (sae.d_sae,):
        raise CheckpointError(f"{path / 'probe.safetensors'} does not count {sae.d_sae} latents: copy it again")
    check_behaviour(sae, probe, recorded, fires, path)


__all__ = ["load", "save", "written_by"]
