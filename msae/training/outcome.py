"""What a step came to, known on its device at once and to the host when it reads it.

On a GPU the host launches a step and does not wait; the numbers that decide whether the step counts are copied
meanwhile, and are read when the next step begins.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Outcome:
    """Whether the candidates were `complete`, the loss, the gradient's norm, and `n_dead` for each AuxK level."""

    def __init__(
        self,
        complete: Bool[Tensor, ""],
        loss: Float[Tensor, ""],
        grad_norm: Float[Tensor, ""],
        n_dead: Iterable[Tensor],
    ) -> None:
        numbers = torch.stack([number.double() for number in (complete, loss, grad_norm, *n_dead)])
        self._copied: torch.cuda.Event | None = None
        self._numbers = numbers
        if numbers.is_cuda:
            self._numbers = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            self._numbers.copy_(numbers, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def read(self) -> tuple[bool, float, float, tuple[int, ...]]:
        """The numbers; the host waits until the step has come to them."""
        if self._copied is not None:
            self._copied.synchronize()
        complete, loss, grad_norm, *n_dead = self._numbers.tolist()
        return bool(complete), loss, grad_norm, tuple(int(number) for number in n_dead)
