"""`msae train`: an SAE on a store, or the baselines of a run."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from msae.cli.output import say
from msae.cli.train_flags import activation_fn
from msae.core.device import usable_device
from msae.core.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from msae.activations.store import ActivationStore
    from msae.sae import Nesting, SparseAutoencoder


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train an SAE on a store, or the baselines of a finished run."""

    store: Path | None = None
    """The activation store. Required, except with --independent: then it is the store of that run."""
    out: Path | None = None
    """The run folder to make. Required, except with --independent."""
    widths: tuple[int, ...] = ()
    """Prefix widths, cumulative; the last is the size of the dictionary. One width: no nesting. Required, except with
    --from."""
    from_: Annotated[Path | None, arg(name="from")] = None
    """A run or a saved SAE to continue from. Its widths, activation function and L0 are kept unless given here;
    the store can be another one of the same model and hook."""
    independent: Path | None = None
    """A finished nested run: train, for each of its prefix widths, an SAE without nesting, with the run's settings, on
    the same batches, at the L0 that the prefix measured, into RUN/independent/WIDTH."""
    k: int | float | None = None
    """Latents per token, 32 by default: exactly (topk), on average (batchtopk), or as a target (jumprelu)."""
    activation: str | None = None
    """Activation function; its settings have flags of their own, in this command's --help."""
    level_weights: Literal["equal", "balanced"] = "equal"
    """How much each level counts in the loss."""
    sampled_prefixes: int | None = None
    """Train this many prefixes, drawn anew at each step. Figures are still given for --widths."""
    tokens: int | None = None
    """Tokens to train on; by default four passes over the store."""
    batch_size: int = 2048
    """Tokens per step."""
    lr: float | None = None
    """Peak learning rate. By default it follows from the number of latents, the batch and the steps."""
    auxk_alpha: float = 1 / 32
    """Weight of AuxK, the loss that revives dead latents; 0 turns it off."""
    seed: int = 0
    """Seed of every random draw."""
    kernel: str = "auto"
    """How a step is computed; results agree."""
    leave_out_sinks: bool = False
    """Train without the rows above 10 times the median norm; eval and analyze then leave them out too."""
    device: str | None = None
    """cpu, cuda or mps; by default a CUDA GPU if there is one. A seed gives the same bits on a CPU only, with the same
    number of threads (OMP_NUM_THREADS)."""
    wandb: str | None = None
    """Log to this Weights & Biases project too."""
    resume: bool = False
    """Continue the unfinished run at --out."""
    replace: bool = False
    """Replace the run at --out, with its results and baselines, once the new one is finished."""
    force: bool = False
    """With --from: continue although the SAE comes from another model or hook than the store."""

    def run(self) -> None:
        """Do it."""
        if self.independent is not None:
            self._train_independent(self.independent)
            return
        from msae.activations.store import ActivationStore
        from msae.training import Run, TrainConfig, train
        from msae.training.memory_needed import require_memory

        if self.store is None or self.out is None or not (self.widths or self.from_):
            raise ConfigError(
                "train needs --store, --out and --widths (or --from RUN_OR_SAE to continue from, or --independent RUN "
                "for the baselines of a run)"
            )
        if self.from_ is not None and self.from_.resolve().is_relative_to(self.out.resolve()):
            raise ConfigError(f"--out {self.out} holds what --from names: choose another --out")
        existing = Run(self.out)
        if existing.folder.is_run and not (self.resume or self.replace):
            state = "a finished" if existing.is_finished else "an unfinished"
            resume = "" if existing.is_finished else "continue it: add --resume; "
            raise ConfigError(
                f"{self.out} holds {state} run ({resume}start over: add --replace; or choose another --out)"
            )
        device = usable_device(self.device)
        if self.from_ is None:
            activation_fn(self), self._nesting(self.widths)  # what makes no sense is refused before anything is read
        store = ActivationStore.open(self.store)
        if self.leave_out_sinks:
            store = store.ordinary()
        config = TrainConfig(
            n_tokens=4 * store.n_rows if self.tokens is None else self.tokens,
            batch_size=self.batch_size,
            lr=self.lr,
            auxk_alpha=self.auxk_alpha,
            seed=self.seed,
            kernel=self.kernel,
        )
        if self.widths:
            require_memory(store.d_in, self.widths[-1], device=str(device))
        sae = self._sae(store, device)
        run = train(sae, store, config, self.out, replace=self.replace, wandb_project=self.wandb, force=self.force)
        for level, record in enumerate(run.load_sae().recorded):
            ordinary = "" if record.fvu_ordinary is None else f" ({record.fvu_ordinary:.4f} on ordinary rows)"
            say(f"level {level}: width {record.width:,}  L0 {record.l0:.2f}  FVU {record.fvu:.4f}{ordinary}")
        say(f"The run is in {run.path}. Next:  msae eval {run.path}")

    def _sae(self, store: ActivationStore, device: torch.device) -> SparseAutoencoder:
        from msae.sae import SparseAutoencoder, load, warm_start

        if self.from_ is None:
            nesting = self._nesting(self.widths)
            return SparseAutoencoder(
                store.d_in, self.widths[-1], activation_fn(self), nesting, seed=self.seed, device=device
            )
        start = load(self.from_)
        other = self.widths or self.sampled_prefixes is not None or self.level_weights != "equal"
        given = self._nesting(self.widths or start.prefix_widths) if other else None
        return warm_start(start, activation_fn=activation_fn(self, start.activation_fn), nesting=given, device=device)

    def _train_independent(self, path: Path) -> None:
        from msae.studies.independent import train_independent
        from msae.training import Run

        given = [f for f in fields(self) if f.name not in ("independent", "store", "device", "wandb", "resume")]
        flags = ", ".join(
            "--" + f.name.strip("_").replace("_", "-") for f in given if getattr(self, f.name) != f.default
        )
        if flags:
            raise ConfigError(f"--independent takes its settings from {path}: leave out {flags}")
        run = Run.open(path)
        device = str(usable_device(self.device))
        baselines = train_independent(run, store=self.store, device=device, wandb_project=self.wandb)
        for record, (width, baseline) in zip(run.load_sae().recorded, baselines.items(), strict=True):
            (own,) = baseline.load_sae().recorded
            say(
                f"width {width:,}: nested L0 {record.l0:.2f}, FVU {record.fvu:.4f}; "
                f"independent L0 {own.l0:.2f}, FVU {own.fvu:.4f}"
            )
        say(f"The baselines are in {run.folder.independent}, a run each. Next:  msae analyze {run.path}")

    def _nesting(self, widths: tuple[int, ...]) -> Nesting:
        from msae.sae import FixedPrefixes, SampledPrefixes, Unnested

        unequal = self.level_weights != "equal"
        if unequal and (self.sampled_prefixes is not None or len(widths) == 1):
            raise ConfigError(f"--level-weights {self.level_weights} goes with several fixed widths alone")
        if self.sampled_prefixes is not None:
            return SampledPrefixes(n=self.sampled_prefixes, widths=widths)
        return FixedPrefixes(widths, self.level_weights) if len(widths) > 1 else Unnested()
