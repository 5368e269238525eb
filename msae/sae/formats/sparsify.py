"""sparsify (EleutherAI): ``cfg.json`` with ``sae.safetensors``, one folder a hook point.

The encoder subtracts b_dec (a transcoder's does not); ReLU, then the k largest of each row.
"""

from __future__ import annotations

from pathlib import Path

from msae.core.errors import CheckpointError
from msae.core.files import read_json
from msae.sae.activation_fns import TopK
from msae.sae.formats.foreign import ForeignSae, Format, count_of, require_shapes
from msae.sae.formats.tensor_files import open_safetensors

WEIGHTS = "sae.safetensors"
# multi_topk is a loss, expansion_factor and num_latents are in the shapes, normalize_decoder is in the weights.
KNOWN = {
    "activation", "d_in", "expansion_factor", "k", "multi_topk", "normalize_decoder", "num_latents", "signed",
    "skip_connection", "transcode",
}  # fmt: skip


class Sparsify(Format):
    """A hook point's folder."""

    name = "sparsify"

    def recognises(self, path: Path) -> bool:
        """``sae.safetensors`` next to ``cfg.json``."""
        return (path / WEIGHTS).is_file() and (path / "cfg.json").is_file()

    def read(self, path: Path) -> ForeignSae:
        """See `Format.read`."""
        config_path = path / "cfg.json"
        config = read_json(config_path, CheckpointError)
        if unknown := set(config) - KNOWN:
            raise CheckpointError(f"{config_path} has fields that are not understood: {sorted(unknown)}")
        for key in ("transcode", "skip_connection", "signed"):
            if config.get(key):
                raise CheckpointError(
                    f"{config_path}: {key} = {config[key]!r} cannot be opened as an SAE; use sparsify"
                )
        if config.get("activation", "topk") != "topk":
            raise CheckpointError(
                f"{config_path}: activation = {config['activation']!r} cannot be opened; use sparsify"
            )
        tensors = open_safetensors(path / WEIGHTS)
        d_in = count_of(config, "d_in", config_path)
        d_sae = config.get("num_latents") or d_in * count_of(config, "expansion_factor", config_path)
        shapes = {"encoder.weight": (d_sae, d_in), "encoder.bias": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
        require_shapes(tensors.shapes, shapes, tensors.path)
        return ForeignSae(
            format=self.name,
            W_enc=tensors.read("encoder.weight").T,
            b_enc=tensors.read("encoder.bias"),
            W_dec=tensors.read("W_dec"),
            b_dec=tensors.read("b_dec"),
            activation_fn=TopK(count_of(config, "k", config_path)),
            hook_name=path.name,
        )
