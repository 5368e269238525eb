"""Softmax regression: the linear classifier of a level's codes, fitted to the bottom of its loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from msae.core.config import require
from msae.core.errors import TrainingError
from msae.nested.classifier import Classifier

ITERATIONS = 1000
GRADIENT_LEFT = 0.01
"""Largest entry of the gradient at the end, as a share of l2: the loss is l2-convex, so weights are then that near."""
STRENGTHS = (1e-2, 1e-3, 1e-4)
"""The L2 penalties that `fit_chosen` tries."""


class SoftmaxRegression:
    """Least mean cross-entropy + l2 / 2 · ‖W‖², the columns of the codes centred and scaled to a deviation of one.

    The problem is convex with one answer, which L-BFGS finds; nothing is drawn. A column that never varies has no
    weight. Fits of several penalties start from the one before, which only saves time.
    """

    def __init__(self, codes: Float[Tensor, "rows width"], label: Int[Tensor, " rows"], n_classes: int) -> None:
        exact = codes.double()
        self._mean, deviation = exact.mean(0), exact.std(0, correction=0)
        self._scale = torch.where(deviation > 0, 1 / deviation.clamp(min=1e-30), 0.0)
        self._x, self._label = (exact - self._mean) * self._scale, label
        self._W = torch.zeros(codes.shape[1], n_classes, dtype=torch.float64, requires_grad=True)
        self._b = torch.zeros(n_classes, dtype=torch.float64, requires_grad=True)

    def fit(self, l2: float) -> Classifier:
        """The classifier at a penalty above zero.

        Raises `TrainingError` where the gradient's largest entry is above l2 / 100 after 1,000 iterations.
        """
        require(l2 > 0, "l2", l2, "above zero: without a penalty, classes that can be told apart have no best weight")
        W, b, allowed = self._W, self._b, GRADIENT_LEFT * l2
        solver = torch.optim.LBFGS(
            [W, b],
            max_iter=ITERATIONS,
            max_eval=2 * ITERATIONS,
            tolerance_grad=allowed,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def loss() -> Tensor:
            solver.zero_grad()
            value = F.cross_entropy(self._x @ W + b, self._label) + 0.5 * l2 * W.square().sum()
            value.backward()
            return value

        solver.step(loss)
        loss()
        left = max(float(p.grad.abs().max()) for p in (W, b) if p.grad is not None)
        if not left <= allowed:
            raise TrainingError(
                f"softmax regression with l2 = {l2:g} did not converge: a gradient of {left:.1g} is left after "
                f"{ITERATIONS} iterations. Use a stronger penalty"
            )
        weight = W.detach() * self._scale[:, None]
        return Classifier(weight.float(), (b.detach() - self._mean @ weight).float())


def fit_chosen(
    codes: Float[Tensor, "rows width"],
    label: Int[Tensor, " rows"],
    n_classes: int,
    valid_codes: Float[Tensor, "valid width"],
    valid_label: Int[Tensor, " valid"],
    strengths: Sequence[float] = STRENGTHS,
) -> Classifier:
    """The classifier at the penalty that is right most often on the validation rows; of equals, the strongest."""
    regression = SoftmaxRegression(codes, label, n_classes)
    best, most = None, -1
    for l2 in sorted(strengths, reverse=True):
        found = regression.fit(l2)
        right = int((found.logits(valid_codes).argmax(1) == valid_label).sum())
        if right > most:
            best, most = found, right
    require(best is not None, "strengths", list(strengths), "at least one penalty")
    assert best is not None
    return best
