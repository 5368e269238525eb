"""What an activation function is, and all that it owns. To add one: a class and an entry in `ACTIVATION_FNS`.

Each is a frozen config with pure functions: it holds no tensor. θ lies in the SAE. No other file tests which class it
has before it; `docs/extending/activation_fns.md` says how one is written.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, field, replace
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.core.errors import CheckpointError, ConfigError
from msae.sae.activation_fns.search_plan import SearchPlan

# Not typing.Self: the tests' type checks wrap methods one by one, and could not tell what it stands for.
Fn = TypeVar("Fn", bound="ActivationFunction")


@dataclass(frozen=True)
class FoundCodes:
    """What a sparse step found: entries (row, latent) of a batch's pre-activations, in no order.

    `value` is the code, zero where the entry does not fire; `upstream` is ∂L/∂f of the reconstruction losses.
    """

    latent: Int[Tensor, " n"]
    pre: Float[Tensor, " n"]
    value: Float[Tensor, " n"]
    fires: Bool[Tensor, " n"]
    upstream: Float[Tensor, " n"]
    n_rows: int


@dataclass(frozen=True, kw_only=True)
class OwnGradients:
    """An activation function's penalty, and what it adds to the gradients of the reconstruction losses.

    `codes`: to ∂L/∂f of each entry. `W_dec`: to that of the decoder. `threshold`: all of ∂L/∂θ, the straight-through
    part included. None: nothing.
    """

    penalty: Float[Tensor, ""]
    codes: Float[Tensor, " n"] | None = None
    W_dec: Float[Tensor, "d_sae d_in"] | None = None
    threshold: Float[Tensor, " d_sae"] | None = None


def setting(help: str, *, default: Any = MISSING, flag: str | None = None) -> Any:
    """A field that the command line offers as ``--flag`` (by default the field's name), described by `help`."""
    return field(default=default, metadata={"help": help, "flag": flag})


@dataclass(frozen=True, kw_only=True)
class ActivationFunction(ABC):
    """Chooses codes f from pre-activations z = (x − b_dec) W_enc + b_enc. A kept code is positive and equals its z.

    `learns_threshold`: θ has a gradient. `threshold_from_batches`: θ follows the codes of training, and is calibrated
    at its end. `has_penalty`: the loss has a term of its own. `l0_setting`: the field of the target L0, if any;
    `whole_l0`: the target L0 is a whole number. `saelens`: the architecture under which SAELens 6 opens a
    saved SAE; None: it has none for it, refuses the folder, and msae alone opens it.
    """

    learns_threshold: ClassVar[bool] = False
    threshold_from_batches: ClassVar[bool] = False
    has_penalty: ClassVar[bool] = False
    l0_setting: ClassVar[str | None] = None
    whole_l0: ClassVar[bool] = False
    saelens: ClassVar[str | None] = None

    def __init_subclass__(cls) -> None:
        """A class that says half of what it is would train as something else: `TypeError` where it is defined."""
        own_gradients = cls.own_gradients is not ActivationFunction.own_gradients
        own_penalty = cls.penalty is not ActivationFunction.penalty
        if own_penalty != cls.has_penalty or own_gradients != (cls.has_penalty or cls.learns_threshold):
            raise TypeError(
                f"{cls.__name__}: `penalty` goes with has_penalty, and `own_gradients` with has_penalty or "
                "learns_threshold; it has one without the other"
            )

    # What it is called, and how the command line makes one.

    @classmethod
    def label(cls) -> str:
        """Its name on the command line and in SAELens' fields: the class's, in lower case."""
        return cls.__name__.lower()

    @classmethod
    def settings(cls) -> dict[str, dataclasses.Field[Any]]:
        """The fields other than `l0_setting`, by the names of their flags."""
        own = [each for each in dataclasses.fields(cls) if each.name != cls.l0_setting]
        return {each.metadata.get("flag") or each.name: each for each in own}

    @classmethod
    def example(cls, d_sae: int) -> ActivationFunction:
        """A small one that fits `d_sae` latents: what the contract tests and the docs try."""
        if cls.l0_setting is None:
            raise NotImplementedError(f"{cls.__name__} needs an `example`")
        return cls(**{cls.l0_setting: max(1, d_sae // 8)})

    # How codes are chosen.

    @abstractmethod
    def validate(self, d_sae: int) -> None:
        """Raise `ConfigError` when the setting makes no sense for `d_sae` latents."""

    @abstractmethod
    def train_plan(self) -> SearchPlan:
        """How codes are chosen while training."""

    @abstractmethod
    def eval_plan(self) -> SearchPlan:
        """How codes are chosen once trained. A row's codes must not depend on its neighbours."""

    def train_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """Which latents fire, while training."""
        return self.train_plan().mask(pre, threshold)

    def eval_mask(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Bool[Tensor, "batch d_sae"]:
        """Which latents fire, once trained."""
        return self.eval_plan().mask(pre, threshold)

    # The loss and its gradients.

    def train_codes(
        self, pre: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, " d_sae"]
    ) -> Float[Tensor, "batch d_sae"]:
        """Codes while training, differentiable as the loss is meant to be; what `own_gradients` must agree with."""
        return torch.where(self.train_mask(pre, threshold), pre, 0.0)

    def penalty(
        self,
        pre: Float[Tensor, "batch d_sae"],
        codes: Float[Tensor, "batch d_sae"],
        W_dec: Float[Tensor, "d_sae d_in"],
        threshold: Float[Tensor, " d_sae"],
    ) -> Float[Tensor, ""]:
        """The penalty on the full code, mean over rows, counted once and not per prefix; differentiable."""
        return pre.new_zeros(())

    def own_gradients(
        self, found: FoundCodes, W_dec: Float[Tensor, "d_sae d_in"], threshold: Float[Tensor, " d_sae"]
    ) -> OwnGradients:
        """`penalty`, and the gradients of it and of θ, written out for the entries of a sparse step."""
        return OwnGradients(penalty=found.upstream.new_zeros(()))

    # θ.

    @property
    def uses_threshold(self) -> bool:
        """Whether θ decides what fires once trained."""
        return self.learns_threshold or self.threshold_from_batches

    def initial_threshold(self) -> float:
        """θ of a new SAE; NaN: not set before the first batch."""
        return math.nan if self.threshold_from_batches else 0.0

    def start_threshold(self, pre: Float[Tensor, "rows d_sae"]) -> Float[Tensor, ""]:
        """Where a learned θ starts, from pre-activations of the first batch."""
        return pre.new_zeros(())

    def moved_threshold(self, threshold: Float[Tensor, " d_sae"], smallest: Float[Tensor, ""]) -> Tensor:
        """θ after a batch whose smallest code was `smallest`, where it follows the batches."""
        return threshold

    # The target L0.

    def target_l0(self) -> float | None:
        """The target L0, or None where there is none."""
        return None if self.l0_setting is None else float(getattr(self, self.l0_setting))

    def with_l0(self: Fn, l0: int | float) -> Fn:
        """The same with another target L0 (rounded where it must be whole, to one at least).

        Raises `ConfigError` where there is no target L0.
        """
        if self.l0_setting is None:
            raise ConfigError(f"{self} has no L0 to ask for: its L0 follows from its other settings")
        return replace(self, **{self.l0_setting: max(1, round(l0)) if self.whole_l0 else l0})

    def for_prefix(self: Fn, width: int, l0: float | None) -> Fn:
        """What the prefix of `width` latents has when cut off, of which an L0 of `l0` was measured (None: unknown).

        Where each latent is chosen apart from the others, the prefix keeps its codes and only the target L0 changes;
        else it can't do without the measured L0: `CheckpointError`.
        """
        if self.l0_setting is None:
            return self
        if self.eval_plan().by_latent:
            l0 = l0 or getattr(self, self.l0_setting)
        if l0 is None:
            raise CheckpointError(
                f"a {type(self).__name__} prefix needs its measured L0, and none is recorded: finish training first"
            )
        return self.with_l0(min(width, l0))

    def for_more_codes(self) -> str:
        """What to change when too few latents fire, for messages."""
        return "other settings of the activation function" if self.l0_setting is None else f"a larger {self.l0_setting}"

    # Saved formats.

    def saelens_fields(self) -> dict[str, Any]:
        """What SAELens' ``cfg.json`` needs beyond the architecture's name."""
        return {}
