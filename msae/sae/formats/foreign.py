"""`ForeignSae`: an SAE as its file has it, and `Format`: what reads one kind of file.

A reader says what the file holds; `as_sparse_autoencoder` brings it to msae's form: z = (x − b_dec) W_enc + b_enc, and
decoder rows of unit norm. So f_j ← f_j ‖W_dec_j‖, and W_enc, b_enc and θ of latent j are multiplied by ‖W_dec_j‖. An
encoder that does not subtract b_dec gets b_enc ← b_enc + b_dec W_enc. Codes then differ from the file's by that factor,
and reconstructions not at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.errors import CheckpointError, ConfigError
from msae.sae.activation_fns import ActivationFunction
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.reorder import nesting_of

UNIT_NORM_WITHIN = 1e-4


@dataclass(frozen=True, kw_only=True)
class ForeignSae:
    """An SAE as its file has it.

    `threshold`: θ a latent, None where the activation function has none. `subtracts_b_dec`: whether the encoder sees
    x − b_dec. `selects_scaled`: whether pre-activations are multiplied by the norms of the decoder rows before latents
    are chosen (and codes divided by them before decoding). `widths`: prefix widths where the file names them. `model`,
    `hook_name`: as the file calls them. `claims`: figures that the file gives of itself, such as ``l0``.
    """

    format: str
    W_enc: Float[Tensor, "d_in d_sae"]
    b_enc: Float[Tensor, " d_sae"]
    W_dec: Float[Tensor, "d_sae d_in"]
    b_dec: Float[Tensor, " d_in"]
    activation_fn: ActivationFunction
    threshold: Float[Tensor, " d_sae"] | None = None
    subtracts_b_dec: bool = True
    selects_scaled: bool = False
    widths: tuple[int, ...] | None = None
    model: str = ""
    hook_name: str = ""
    claims: Mapping[str, float] = field(default_factory=dict)


class Format(ABC):
    """Reads one kind of folder. To add one: a subclass in a file of its own, and an entry in `FORMATS`."""

    name: ClassVar[str]

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether `path` (a folder, or a file of weights) is of this format, told from its files."""

    @abstractmethod
    def read(self, path: Path) -> ForeignSae:
        """The SAE at `path`; `CheckpointError` names the field or tensor that is missing or not understood."""


def as_sparse_autoencoder(foreign: ForeignSae, widths: Sequence[int] | None = None) -> SparseAutoencoder:
    """The SAE in msae's form, in `eval()` mode, in the dtype of its encoder.

    `widths`: prefix widths that the caller names; None takes those of the file, or no nesting. Raises `ConfigError` for
    widths that do not end at d_sae, and `CheckpointError` for weights that are not finite.
    """
    d_in, d_sae = foreign.W_enc.shape
    nesting = nesting_of(foreign.widths if widths is None else widths, d_sae)
    _require_finite(foreign)
    sae = SparseAutoencoder(d_in, d_sae, foreign.activation_fn, nesting, dtype=foreign.W_enc.dtype)
    norm, scale = _norms(foreign)
    with torch.no_grad():
        sae.W_dec.copy_(foreign.W_dec / scale[:, None])
        sae.W_enc.copy_(foreign.W_enc * scale)
        sae.b_enc.copy_(foreign.b_enc * scale)
        sae.b_dec.copy_(foreign.b_dec)
        if not foreign.subtracts_b_dec:
            sae.b_enc.add_(sae.b_dec @ sae.W_enc)
        if foreign.threshold is not None:
            # With `selects_scaled` θ is compared with the scaled pre-activation already.
            sae.threshold.copy_(foreign.threshold * (scale / norm if foreign.selects_scaled else scale))
    sae.trained = True
    return sae.eval()


def _norms(foreign: ForeignSae) -> tuple[Float[Tensor, " d_sae"], Float[Tensor, " d_sae"]]:
    """‖W_dec_j‖ as selection saw it, and what each latent is scaled by.

    A latent whose row is zero is left as it is. So is a TopK SAE with rows of unequal norm that chooses by the unscaled
    pre-activation: scaling would choose other latents.
    """
    norm = foreign.W_dec.float().norm(dim=1)
    norm = torch.where(norm > 0, norm, 1.0)
    unit = (norm - 1).abs().max() < UNIT_NORM_WITHIN
    by_rank = foreign.threshold is None and foreign.activation_fn.target_l0() is not None
    keep = bool(unit) or (by_rank and not foreign.selects_scaled)
    scale = torch.ones_like(norm) if keep else norm
    if foreign.selects_scaled and not keep:
        return norm, scale
    return torch.ones_like(norm), scale


def _require_finite(foreign: ForeignSae) -> None:
    for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold"):
        tensor = getattr(foreign, name)
        if tensor is not None and not torch.isfinite(tensor).all():
            raise CheckpointError(f"{name} of the {foreign.format} SAE holds values that are not finite: copy it again")


def require_shapes(
    given: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
    path: Path,
    optional: Sequence[str] = (),
) -> None:
    """Raise `CheckpointError` naming the tensors that are missing, unknown, or of another shape than `expected`."""
    faults = [
        *(f"{name} is missing" for name in expected if name not in given and name not in optional),
        *(f"{name} is not a tensor this format has" for name in given if name not in expected),
        *(
            f"{name} has shape {given[name]}, expected {shape}"
            for name, shape in expected.items()
            if name in given and given[name] != shape
        ),
    ]
    if faults:
        raise CheckpointError(f"{path}: {'; '.join(faults)}")


def count_of(config: Mapping[str, Any], key: str, path: Path) -> int:
    """A positive whole number of a JSON file; `CheckpointError` names the field."""
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise CheckpointError(f"{path}: {key} = {value!r}, expected a positive whole number")
    return value


def nested_widths(sizes: Sequence[int]) -> tuple[int, ...]:
    """Cumulative prefix widths from the sizes of groups (dictionary_learning writes sizes, SAELens widths)."""
    total, out = 0, []
    for size in sizes:
        total += int(size)
        out.append(total)
    if not out or min(sizes) <= 0:
        raise ConfigError(f"group sizes {list(sizes)}: expected positive sizes")
    return tuple(out)
