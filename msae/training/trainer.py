"""`Trainer`: one SAE, one step at a time. It owns all that changes while training, and can save and restore it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from msae.activations.store import ActivationStore
from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import ConfigError, MsaeError, TrainingError
from msae.core.numerics import RowArray, as_rows
from msae.core.rng import torch_stream
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.kernels import make_kernel
from msae.sae.losses import Losses, Objective
from msae.sae.metrics import LevelAccumulator, LevelFigures
from msae.sae.warm_start import require_unit_rows
from msae.training.dead_latents import SilenceCounter
from msae.training.outcome import Outcome
from msae.training.scaling import Scaling
from msae.training.schedules import warmup_stable_decay
from msae.training.threshold import calibrated_threshold
from msae.training.train_config import TrainConfig, default_lr
from msae.training.update import ConstrainedAdam, require_finite_norm

START_ROWS = 1024
CALIBRATION_ROWS = 1 << 17
RESERVOIR_SHARE = 32


@dataclass(frozen=True, kw_only=True)
class StepMetrics:
    """What one step found. `step` counts from 1; tensors are 0-d, or one number per trained prefix.

    On a GPU the tensors are certain once the next step has begun, or after `Trainer.synchronize`.
    """

    step: int
    tokens: int
    lr: float
    losses: Losses
    widths: tuple[int, ...]
    grad_norm: Float[Tensor, ""]
    l0: Float[Tensor, ""]

    def tensors(self) -> tuple[Tensor, ...]:
        """All of them."""
        losses = self.losses
        return (losses.levels, losses.auxk, losses.penalty, losses.total, self.grad_norm, self.l0)


@dataclass(frozen=True)
class _OpenStep:
    """A step that was launched, and of which the host does not know yet whether it counts."""

    x: Float[Tensor, "batch d_in"]
    n_given: int
    outcome: Outcome
    metrics: StepMetrics


@checked
class Trainer:
    """Trains `sae` on batches the caller gives to `step`; `finish` calibrates θ, folds the scaling in, and returns it.

    `sample`: rows (100,000 or more are good), or a `Scaling` from a store, that fix the input scale, the variance the
    losses are divided by, and where b_dec starts; None takes the first batch. Until `finish`, the SAE's parameters
    are those of the scaled activations s·x. Training of a trained SAE continues: it keeps its b_dec and θ.

    With no holdout to calibrate θ on, rows must be kept back: of each of the first batches, one row in 32 goes to a
    reservoir of `reservoir_rows` rows instead of being trained on (0 when `finish` will be given a holdout).

    With Triton on a GPU a step does not wait for the device, so that the next can be launched while it runs. Whether it
    counts, the host reads when the next begins (or at `synchronize`): a step whose candidates did not fit has changed
    nothing, and is then done again from the batch kept for it, so that every step is exact and in its place.

    Raises `ConfigError` for a batch whose width is not d_in or that is empty, `TrainingError` when the loss is not
    finite (on a GPU: of the step before) or a level has no live latent.
    """

    def __init__(
        self,
        sae: SparseAutoencoder,
        config: TrainConfig,
        sample: RowArray | Scaling | None = None,
        *,
        reservoir_rows: int = 8192,
    ) -> None:
        require(reservoir_rows >= 0, "reservoir_rows", reservoir_rows, "zero or more rows")
        self.sae = sae.train()
        self.config = config
        self.peak_lr = config.lr or default_lr(sae.d_sae, config.batch_size, config.n_steps)
        self.steps_done = 0
        self.tokens_done = 0
        self.silence = SilenceCounter(sae.d_sae, config.silent_tokens_until_dead, sae.device)
        self.scaling: Scaling | None = None
        self._kernel = make_kernel(config.kernel, sae, config.block)
        self._open: _OpenStep | None = None
        self._n_dead: tuple[int, ...] | None = None
        self._optimiser = ConstrainedAdam(sae, config.beta1, config.beta2)
        self._reservoir = torch.empty(0, sae.d_in)
        self._reservoir_rows = reservoir_rows
        self._finished = False
        self._keeps_threshold = False
        if sample is not None:
            scaling = (
                sample if isinstance(sample, Scaling) else Scaling.from_rows(as_rows(sample, sae.d_in, "the sample"))
            )
            self._set_scaling(scaling)

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        config = self.config
        n_steps = config.n_steps
        return self.peak_lr * warmup_stable_decay(
            self.steps_done, n_steps, config.warmup_fraction, config.decay_fraction
        )

    def step(self, x: RowArray) -> StepMetrics:
        """Train on one batch of activations as they come, unscaled, of any dtype."""
        self.synchronize()
        x = self._required_batch(x)
        n_given = len(x)
        if self.scaling is None:
            self._set_scaling(Scaling.from_rows(x.to(self.sae.device, self.sae.dtype)))
        assert self.scaling is not None
        # Without waiting, a pinned batch could be overwritten by its owner while it is still being copied.
        at_once = not (x.device.type == "cpu" and x.is_pinned())
        x = self._keep_back(x).to(self.sae.device, self.sae.dtype, non_blocking=at_once) * self.scaling.scale
        if self.steps_done == 0 and self.sae.activation_fn.learns_threshold and not self._keeps_threshold:
            self._start_threshold(x)
        return self._step(x, n_given)

    def synchronize(self) -> None:
        """Wait until the last step counts: on a GPU until the host knows, and if need be until it was done again."""
        if self._open is None:
            return
        step, self._open = self._open, None
        complete, loss, norm, self._n_dead = step.outcome.read()
        if complete and math.isfinite(loss) and math.isfinite(norm):
            return
        self.steps_done -= 1
        self.tokens_done -= step.n_given
        self._optimiser.undo()
        if complete:
            self._require_finite(loss)
            require_finite_norm(norm)
        # A new kernel has no guesses, and waits for the device: its first step is complete.
        self._kernel = make_kernel(self.config.kernel, self.sae, self.config.block)
        again = self._step(step.x, step.n_given)
        for before, now in zip(step.metrics.tensors(), again.tensors(), strict=True):
            before.copy_(now)
        self.synchronize()

    def _step(self, x: Float[Tensor, "batch d_in"], n_given: int) -> StepMetrics:
        """Train on one batch of scaled activations: what is left of `n_given` rows when some were kept back."""
        lr, objective = self.lr, self._objective()
        clip = math.inf if self.config.grad_clip is None else self.config.grad_clip
        result = self._kernel.step(self.sae, x, objective)
        if self._kernel.deferred:
            moments = self._optimiser.moments()
            norm, loss = moments.norm, result.losses.total
            valid = result.complete & torch.isfinite(loss) & torch.isfinite(norm)
        else:
            self._require_finite(result.losses.total.item())
            norm, valid = self._optimiser.step(lr, clip), result.complete
        self.silence.update(result.fired(), result.n_rows, valid)
        if self.sae.activation_fn.threshold_from_batches:
            self._track_threshold(result.smallest(), valid)
        self.steps_done += 1
        self.tokens_done += n_given
        metrics = StepMetrics(
            step=self.steps_done,
            tokens=self.tokens_done,
            lr=lr,
            losses=result.losses,
            widths=objective.widths,
            grad_norm=norm,
            l0=result.l0(),
        )
        if self._kernel.deferred:
            dead = self.silence.dead()
            bands = zip((0, *objective.auxk_widths), objective.auxk_widths, strict=False)
            # Before the update: the device has that left to do while the host begins the next step.
            outcome = Outcome(result.complete, loss, norm, [dead[lo:hi].sum() for lo, hi in bands])
            self._optimiser.step_where(valid, moments, lr, clip)
            self._open = _OpenStep(x, n_given, outcome, metrics)
        return metrics

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {self.steps_done + 1}, learning rate {self.lr:.2g}: "
                "the batch holds values that are not finite, or training has diverged; "
                "continue from the last checkpoint with a smaller lr"
            )

    def require_live_levels(self) -> None:
        """Raise `TrainingError` if every latent that some level adds is dead."""
        dead, more = self.silence.dead(), self.sae.activation_fn.for_more_codes()
        for level in range(self.sae.n_levels):
            if dead[self.sae.band(level)].all():
                band = self.sae.band(level)
                raise TrainingError(
                    f"all latents that level {level} adds ({band.start} … {band.stop - 1}) have been silent for "
                    f"{self.config.silent_tokens_until_dead} tokens: the level is dead; use {more}, a smaller lr, or "
                    "wider inner levels"
                )

    @torch.no_grad()
    def finish(self, holdout: RowArray | ActivationStore | None = None) -> SparseAutoencoder:
        """Fold the scaling in, calibrate θ, record L0 and FVU of every level, and return the SAE in `eval()` mode.

        `holdout`: rows never trained on (at most 131,072 are used); None takes the rows kept back while training.
        Raises `TrainingError` when θ cannot be calibrated on them; training can then go on, or finish on other rows.
        """
        if self._finished:
            raise TrainingError("this trainer has finished: its SAE is trainer.sae")
        self.synchronize()
        if self.scaling is None:
            raise TrainingError("finish() was called before the first step: there is nothing to finish")
        rows = self._reservoir if holdout is None else holdout
        if not isinstance(rows, ActivationStore):
            rows = as_rows(rows, self.sae.d_in, "the holdout")
            if not torch.isfinite(rows).all():
                raise TrainingError("the holdout holds values that are not finite: θ cannot be calibrated on them")
        sae, scaled = self.sae, (self.sae.b_enc, self.sae.b_dec, self.sae.threshold)
        unfolded = [parameter.clone() for parameter in scaled]
        sae.fold_scale(self.scaling.scale)
        try:
            self._calibrate_and_record(rows, min(len(rows), CALIBRATION_ROWS))
        except MsaeError:
            for parameter, before in zip(scaled, unfolded, strict=True):
                parameter.copy_(before)
            sae.train()
            raise
        self._finished = sae.trained = True
        return sae

    @torch.no_grad()
    def figures_on(self, x: Float[Tensor, "rows d_in"]) -> tuple[LevelFigures, ...]:
        """L0, FVU and more of every level on rows as they come, with θ as it stands. Changes nothing."""
        assert self.scaling is not None
        self.synchronize()
        accumulator = LevelAccumulator(self.sae.eval())
        try:
            for chunk in _chunks(x, len(x)):
                accumulator.update(chunk.to(self.sae.device, self.sae.dtype) * self.scaling.scale)
        finally:
            self.sae.train()
        return accumulator.figures()

    def _calibrate_and_record(self, rows: Float[Tensor, "rows d_in"] | ActivationStore, n_rows: int) -> None:
        sae, fn = self.sae, self.sae.activation_fn
        target = fn.target_l0()
        if fn.threshold_from_batches and target is not None:
            sae.threshold.fill_(calibrated_threshold(sae, _chunks(rows, n_rows), n_rows, target))
        sae.eval()
        accumulator = LevelAccumulator(sae, rows.norm_summary.sink_norm if isinstance(rows, ActivationStore) else None)
        for chunk in _chunks(rows, n_rows):
            accumulator.update(chunk)
        if n_rows:
            sae.recorded = accumulator.records()

    def state(self, *, with_guess: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that changes while training: tensors and JSON values, for `load_state`.

        A kernel's guess decides the last bits of what follows. A state that every run saves at this step drops it, here
        and for whoever goes on from it; one that only this run saves (`with_guess`) keeps it.
        """
        if self.scaling is None:
            raise TrainingError("there is no state to save before the first step")
        self.synchronize()
        guess = self._kernel.guess if with_guess else None
        self._kernel = make_kernel(self.config.kernel, self.sae, self.config.block)
        self._kernel.guess = guess
        tensors = {f"sae.{name}": parameter.detach() for name, parameter in self.sae.named_parameters()}
        tensors |= {f"adam.{name}": moment for name, moment in self._optimiser.state().items()}
        tensors["tokens_silent"] = self.silence.tokens_silent
        tensors["reservoir"] = self._reservoir
        tensors["scaling.mean"] = self.scaling.mean
        exact = {"scale": self.scaling.scale.hex(), "variance": self.scaling.variance.hex()}
        kept = {} if guess is None else {"guess": guess.hex()}
        return tensors, {"steps_done": self.steps_done, "tokens_done": self.tokens_done, **exact, **kept}

    @torch.no_grad()
    def load_state(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Go back to a saved `state`; the steps that follow are the same to the bit (on CPU)."""
        self._kernel = make_kernel(self.config.kernel, self.sae, self.config.block)
        self._kernel.guess = float.fromhex(values["guess"]) if "guess" in values else None
        self._open = self._n_dead = None
        for name, parameter in self.sae.named_parameters():
            parameter.copy_(tensors[f"sae.{name}"])
        moments = {name.removeprefix("adam."): tensor for name, tensor in tensors.items() if name.startswith("adam.")}
        self._optimiser.load_state(moments, values["steps_done"])
        self.silence.tokens_silent.copy_(tensors["tokens_silent"])
        self._reservoir = tensors["reservoir"].clone()
        self.scaling = Scaling(
            scale=float.fromhex(values["scale"]),
            mean=tensors["scaling.mean"].clone(),
            variance=float.fromhex(values["variance"]),
        )
        self.steps_done = values["steps_done"]
        # States of version 0.1 do not have it; batches from a store are whole.
        self.tokens_done = values.get("tokens_done", self.steps_done * self.config.batch_size)

    @torch.no_grad()
    def _set_scaling(self, scaling: Scaling) -> None:
        if scaling.mean.numel() != self.sae.d_in:
            raise ConfigError(f"the sample has width {scaling.mean.numel()}, the SAE has d_in = {self.sae.d_in}")
        self.scaling = scaling
        if not self.sae.trained:
            self.sae.b_dec.copy_(scaling.mean * scaling.scale)
            return
        require_unit_rows(self.sae)
        self._keeps_threshold = bool(torch.isfinite(self.sae.threshold).all())
        self.sae.fold_scale(1 / scaling.scale)
        self.sae.trained = False

    def _objective(self) -> Objective:
        assert self.scaling is not None
        config, nesting, d_sae = self.config, self.sae.nesting, self.sae.d_sae
        widths = nesting.train_widths(d_sae, torch_stream(config.seed, f"nesting/{self.steps_done}"))
        per_level = config.auxk_residual == "per_level"
        auxk_widths = nesting.eval_widths(d_sae) if per_level else (d_sae,)
        auxk_weights = nesting.weights(len(auxk_widths)) if per_level else (1.0,)
        return Objective(
            widths=widths,
            weights=nesting.weights(len(widths)),
            variance=self.scaling.scaled_variance,
            auxk_alpha=self._auxk_alpha,
            auxk_widths=auxk_widths,
            auxk_weights=auxk_weights,
            dead=self._dead_or_none(),
            n_dead=self._n_dead,
        )

    @property
    def _auxk_alpha(self) -> float:
        """The next step's α."""
        every = self.config.auxk_every
        return self.config.auxk_alpha * every if (self.steps_done + 1) % every == 0 else 0.0

    def _dead_or_none(self) -> Bool[Tensor, " d_sae"] | None:
        if self._auxk_alpha == 0 or self.tokens_done < self.config.silent_tokens_until_dead:
            return None
        dead = self.silence.dead()
        some = dead.any() if self._n_dead is None else sum(self._n_dead) > 0
        return dead if some else None

    @torch.no_grad()
    def _track_threshold(self, smallest: Float[Tensor, ""], valid: Bool[Tensor, ""]) -> None:
        """θ moves as the activation function says after a batch that is `valid` and has a smallest code."""
        theta = self.sae.threshold
        moved = self.sae.activation_fn.moved_threshold(theta, smallest)
        theta.copy_(torch.where(valid & torch.isfinite(smallest), moved, theta))

    @torch.no_grad()
    def _start_threshold(self, x: Float[Tensor, "batch d_in"]) -> None:
        pre = self.sae.pre_activations(x[:START_ROWS])
        self.sae.threshold.fill_(self.sae.activation_fn.start_threshold(pre))

    def _keep_back(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "kept d_in"]:
        missing = self._reservoir_rows - len(self._reservoir)
        share = min(missing, x.shape[0] // RESERVOIR_SHARE)
        if share <= 0:
            return x
        if not torch.isfinite(x[:share]).all():
            raise TrainingError(
                f"the batch of step {self.steps_done + 1} holds values that are not finite, in the rows kept back for "
                "calibration: check the activations"
            )
        self._reservoir = torch.cat([self._reservoir, x[:share].float().cpu()])
        return x[share:]

    def _required_batch(self, x: RowArray) -> Tensor:
        if self._finished:
            raise TrainingError("this trainer has finished: make a new one to train further")
        if self.steps_done >= self.config.n_steps:
            raise TrainingError(
                f"{self.steps_done} of {self.config.n_steps} steps are done, where the learning rate ends: call "
                "finish(), or make a trainer with more n_tokens"
            )
        x = as_rows(x, self.sae.d_in, "the batch")
        if x.shape[0] == 0:
            raise ConfigError("the batch is empty: a step needs at least one row")
        return x


def _chunks(rows: Tensor | ActivationStore, n_rows: int, size: int = 4096) -> Iterable[Float[Tensor, "rows d_in"]]:
    for start in range(0, n_rows, size):
        stop = min(start + size, n_rows)
        yield rows.rows(start, stop) if isinstance(rows, ActivationStore) else rows[start:stop].float()
