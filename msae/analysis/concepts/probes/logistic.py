"""Many logistic probes at once on the same rows: L-BFGS with every column's own steps.

For concept c with labels y, both classes weighing half,

    loss_c(w, b) = ½ mean over y = 1 of softplus(−s) + ½ mean over y = 0 of softplus(s) + λ/2 ‖w‖²,   s = ⟨w, x⟩ + b

(means by `row_weight`), so that a rare concept is fitted as a frequent one is. Weighing is what SAEBench does
(`pos_weight`), which stops after 50 epochs of Adam; here the minimum is found. Activations differ much in spread along
their principal axes, so the search is made in coordinates in which the loss is about equally curved everywhere; the
minimum is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

HISTORY = 10
CURVATURE = 0.05
"""About the mean of p (1 − p) at the minimum: only how fast it is reached depends on it."""


@dataclass(frozen=True, kw_only=True)
class LinearProbes:
    """Column c's score of a row x is ⟨weight[c], x⟩ + bias[c]."""

    weight: Float[Tensor, "concepts d_in"]
    bias: Float[Tensor, " concepts"]

    def scores(self, x: Float[Tensor, "rows d_in"]) -> Float[Tensor, "rows concepts"]:
        """The score of every row for every concept."""
        return x @ self.weight.T + self.bias


@torch.no_grad()
def fit_logistic(
    x: Float[Tensor, "rows d_in"],
    positive: Bool[Tensor, "rows concepts"],
    *,
    l2: float,
    row_weight: Float[Tensor, " rows"] | None = None,
    steps: int = 60,
    tolerance: float = 1e-3,
) -> LinearProbes:
    """The minima, for columns that have both classes. `l2`: λ, for rows scaled so that E‖x‖² = d_in.

    A column stops when its gradient is `tolerance` of what it was at the start, and all after `steps` steps.
    Memory: `x` once more, and four numbers a row and concept.
    """
    mean = x.mean(0)
    scale = x.square().sum(1).mean().div(x.shape[1]).sqrt()
    row_weight = x.new_ones(len(x)) if row_weight is None else row_weight
    turn = _preconditioner(x, mean, scale, l2)
    z = ((x - mean) / scale) @ turn
    search = _Search(z, positive, row_weight, turn, l2)
    direction = search.run(steps, tolerance)
    weight = (turn @ direction[:-1]).T / scale
    return LinearProbes(weight=weight, bias=direction[-1] - weight @ mean)


def _preconditioner(x: Tensor, mean: Tensor, scale: Tensor, l2: float) -> Float[Tensor, "d_in d_in"]:
    """(κ Σ + λ)^(−½), Σ the covariance of the scaled rows."""
    covariance = x.new_zeros(x.shape[1], x.shape[1], dtype=torch.float64)
    for rows in x.split(1 << 14):
        centred = ((rows - mean) / scale).double()
        covariance += centred.T @ centred
    values, axes = torch.linalg.eigh(covariance / len(x))
    return ((axes * (CURVATURE * values.clamp_min(0) + l2).rsqrt()) @ axes.T).to(x.dtype)


class _Search:
    """The state of the search: parameters (d_in + 1, concepts), the last row the bias; scores are kept up to date."""

    def __init__(self, z: Tensor, positive: Tensor, row_weight: Tensor, turn: Tensor, l2: float) -> None:
        self.z, self.penalty, self.l2 = z, turn.T @ turn, l2
        weight = row_weight[:, None].to(z.dtype)
        of_positives = (weight * positive).sum(0)
        self.sign = 1.0 - 2.0 * positive.to(z.dtype)
        self.share = 0.5 * weight / torch.where(positive, of_positives, weight.sum() - of_positives)
        self.at = z.new_zeros(z.shape[1] + 1, positive.shape[1])
        self.scores = z.new_zeros(positive.shape)

    def run(self, steps: int, tolerance: float) -> Float[Tensor, "parameters concepts"]:
        """Search, and return the parameters found."""
        value, gradient = self.loss(self.scores, self.at), self.gradient()
        least = tolerance * gradient.norm(dim=0)
        differences: list[tuple[Tensor, Tensor]] = []
        for _ in range(steps):
            moving = gradient.norm(dim=0) > least
            if not moving.any():
                break
            towards = -_inverse_hessian(gradient, differences) * moving
            slope = (towards * gradient).sum(0)
            uphill = slope >= 0
            towards = torch.where(uphill, -gradient * moving, towards)
            slope = torch.where(uphill, -(gradient.square().sum(0)) * moving, slope)
            length, value = self.line_search(towards, slope, value)
            self.at = self.at + length * towards
            after = self.gradient()
            differences = [*differences[1 - HISTORY :], (length * towards, after - gradient)]
            gradient = after
        return self.at

    def loss(self, scores: Tensor, at: Tensor) -> Float[Tensor, " concepts"]:
        penalty = (at[:-1] * (self.penalty @ at[:-1])).sum(0)
        return (self.share * softplus(self.sign * scores)).sum(0) + 0.5 * self.l2 * penalty

    def gradient(self) -> Float[Tensor, "parameters concepts"]:
        residual = self.share * self.sign * torch.sigmoid(self.sign * self.scores)
        return torch.cat([self.z.T @ residual + self.l2 * (self.penalty @ self.at[:-1]), residual.sum(0, keepdim=True)])

    def line_search(self, towards: Tensor, slope: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Each column's step, halved until its loss has fallen enough (Armijo), and its loss there."""
        change = self.z @ towards[:-1] + towards[-1]
        length = torch.ones_like(slope)
        for _ in range(20):
            scores = self.scores + length * change
            there = self.loss(scores, self.at + length * towards)
            short = there > value + 1e-4 * length * slope
            if not short.any():
                break
            length = torch.where(short, 0.5 * length, length)
        length = torch.where(short, 0.0, length)
        self.scores = self.scores + length * change
        return length, torch.where(short, value, there)


def _inverse_hessian(gradient: Tensor, differences: list[tuple[Tensor, Tensor]]) -> Tensor:
    """L-BFGS's two loops, a column at a time; pairs without positive curvature count for nothing."""
    out, kept = gradient, []
    for step, change in reversed(differences):
        curvature = (step * change).sum(0)
        rho = torch.where(curvature > 1e-12, 1 / curvature, 0.0)
        alpha = rho * (step * out).sum(0)
        out = out - alpha * change
        kept.append((step, change, rho, alpha))
    if differences:
        step, change = differences[-1]
        ratio = (step * change).sum(0) / change.square().sum(0)
        out = out * torch.where(ratio > 0, ratio, 1.0)
    for step, change, rho, alpha in reversed(kept):
        out = out + step * (alpha - rho * (change * out).sum(0))
    return out
