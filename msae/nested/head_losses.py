"""What every prefix of a `MatryoshkaHead` is trained for: distinguishing classes, or keeping the rows' similarities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def class_loss(
    codes: Float[Tensor, "batch d_out"],
    label: Int[Tensor, " batch"],
    widths: Sequence[int],
    weights: Sequence[float],
    classifiers: Sequence[tuple[Tensor, Tensor]],
) -> Float[Tensor, ""]:
    """Σ_m c_m · cross-entropy of (codes[:, :m] W⁽ᵐ⁾ + b⁽ᵐ⁾) against the labels."""
    losses = [
        c * F.cross_entropy(codes[:, :m] @ W + b, label)
        for m, c, (W, b) in zip(widths, weights, classifiers, strict=True)
    ]
    return torch.stack(losses).sum()


def cosine_loss(
    codes: Float[Tensor, "batch d_out"],
    rows: Float[Tensor, "batch d_in"],
    widths: Sequence[int],
    weights: Sequence[float],
) -> Float[Tensor, ""]:
    """Σ_m c_m · the mean over pairs i ≠ j of (cos(codes_i, codes_j; first m) − cos(rows_i, rows_j))²."""
    wanted = similarities(rows)
    n = len(rows)
    losses = [
        c * (similarities(codes[:, :m]) - wanted).square().sum() / (n * (n - 1))
        for m, c in zip(widths, weights, strict=True)
    ]
    return torch.stack(losses).sum()


def similarities(rows: Float[Tensor, "batch width"]) -> Float[Tensor, "batch batch"]:
    """Cosines of all pairs, the diagonal exactly one."""
    unit = F.normalize(rows, dim=1)
    cosines = unit @ unit.T
    return cosines - torch.diag_embed(cosines.diagonal() - 1)
