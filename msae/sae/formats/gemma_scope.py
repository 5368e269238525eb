"""Gemma Scope (Gemma 2; Lieberum et al. 2024, arXiv:2408.05147): ``params.npz``. Gemma Scope 2 (Gemma 3):
``config.json`` with ``params.safetensors``. Both are JumpReLU, both without subtracting b_dec.

Gemma Scope 2 was trained with nested losses, and names its prefix widths nowhere: give them when loading.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from msae.core.errors import CheckpointError
from msae.core.files import read_json
from msae.sae.activation_fns import JumpReLU
from msae.sae.formats.foreign import ForeignSae, Format, require_shapes
from msae.sae.formats.tensor_files import TensorFile, open_npz, open_safetensors


class GemmaScope(Format):
    """A folder with ``params.npz``."""

    name = "gemma_scope"

    def recognises(self, path: Path) -> bool:
        """A ``params.npz``."""
        return (path / "params.npz").is_file()

    def read(self, path: Path) -> ForeignSae:
        """See `Format.read`."""
        tensors = open_npz(path / "params.npz")
        shapes = {name: shape for name, shape in tensors.shapes.items() if name != "scaling_factor"}
        fields = _jumprelu(TensorFile(path=tensors.path, shapes=shapes, read=tensors.read), "W_enc", "W_dec")
        if "scaling_factor" in tensors.shapes:
            scaling = tensors.read("scaling_factor")
            if not torch.allclose(scaling, torch.ones_like(scaling)):
                raise CheckpointError(f"{tensors.path}: scaling_factor is not 1 and cannot be represented; use SAELens")
        return ForeignSae(format=self.name, **fields)


class GemmaScope2(Format):
    """A folder with ``params.safetensors`` and, mostly, ``config.json``."""

    name = "gemma_scope_2"

    def recognises(self, path: Path) -> bool:
        """A ``params.safetensors``."""
        return (path / "params.safetensors").is_file()

    def read(self, path: Path) -> ForeignSae:
        """See `Format.read`."""
        config_path = path / "config.json"
        config: dict[str, Any] = read_json(config_path, CheckpointError) if config_path.is_file() else {}
        if config.get("architecture", "jump_relu") != "jump_relu":
            raise CheckpointError(f"{config_path}: architecture = {config['architecture']!r}, expected 'jump_relu'")
        tensors = open_safetensors(path / "params.safetensors")
        out = config.get("hf_hook_point_out")
        if config.get("affine_connection") or "affine_skip_connection" in tensors.shapes:
            raise CheckpointError(
                f"{path}: affine_connection is set: a transcoder with a skip connection is no SAE; use SAELens"
            )
        if out not in (None, config.get("hf_hook_point_in")):
            raise CheckpointError(f"{config_path}: hf_hook_point_out = {out!r}: a transcoder is no SAE; use SAELens")
        return ForeignSae(
            format=self.name,
            model=str(config.get("model_name") or ""),
            hook_name=str(config.get("hf_hook_point_in") or ""),
            **_jumprelu(tensors, "w_enc", "w_dec"),
        )


def _jumprelu(tensors: TensorFile, W_enc: str, W_dec: str) -> dict[str, Any]:
    shape = tensors.shapes.get(W_enc, ())
    if len(shape) != 2:
        raise CheckpointError(f"{tensors.path}: {W_enc} has shape {shape}, expected (d_in, d_sae)")
    d_in, d_sae = shape
    expected = {W_enc: shape, "b_enc": (d_sae,), W_dec: (d_sae, d_in), "b_dec": (d_in,), "threshold": (d_sae,)}
    require_shapes(tensors.shapes, expected, tensors.path)
    return {
        "W_enc": tensors.read(W_enc),
        "b_enc": tensors.read("b_enc"),
        "W_dec": tensors.read(W_dec),
        "b_dec": tensors.read("b_dec"),
        "threshold": tensors.read("threshold"),
        "activation_fn": JumpReLU(l0=d_sae),
        "subtracts_b_dec": False,
    }
