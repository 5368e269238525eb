"""The command line: parses, calls, prints. Everything it does can be done from Python with the same names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional, subcommand

from msae.core.errors import ConfigError, MsaeError

if TYPE_CHECKING:
    import torch
    from rich.console import RenderableType

    from msae.data.documents import Documents
    from msae.sae import ActivationFunction, Nesting

DEMO = "demo"


@dataclass(frozen=True, kw_only=True)
class Text:
    """Where text comes from; give one of these."""

    text: tuple[str, ...] = ()
    """Text files, one document each: patterns such as 'corpus/*.txt'."""
    jsonl: tuple[str, ...] = ()
    """JSON-lines files, one document a line."""
    parquet: tuple[str, ...] = ()
    """Parquet files, one document a row."""
    dataset: str | None = None
    """A Hugging Face data set, by hub name or folder."""
    demo_text: bool = False
    """The text the demo model was made for: Python source that is on this machine."""
    text_field: str = "text"
    """The field or column that holds the text."""
    split: str = "train"
    """The split of a data set, or of the demo text (train or heldout)."""

    def documents(self) -> Documents | None:
        """The documents asked for; None when none were."""
        from msae.data import documents

        asked = [name for name in ("text", "jsonl", "parquet", "dataset", "demo_text") if getattr(self, name)]
        if len(asked) > 1:
            flags = ", ".join("--" + name.replace("_", "-") for name in asked)
            raise ConfigError(f"{flags} were given together: give text one way")
        if self.text:
            return documents.text_documents(*self.text)
        if self.jsonl:
            return documents.jsonl_documents(*self.jsonl, text=self.text_field)
        if self.parquet:
            return documents.parquet_documents(*self.parquet, text=self.text_field)
        if self.dataset:
            return documents.dataset_documents(self.dataset, text=self.text_field, split=self.split)
        if self.demo_text:
            import msae.demo

            return msae.demo.documents(self.split)  # type: ignore[arg-type]
        return None


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Train, evaluate and analyze a Matryoshka SAE on the language model that ships with msae. No download."""

    out: Path = Path("runs/demo")
    """The run folder."""
    store: Path = Path("acts/demo")
    """The activation store."""
    replace: bool = False
    """Delete what is at --out and --store first."""
    layer: int = 3
    """The residual stream after this block, counted from 0."""
    widths: tuple[int, ...] = (64, 256, 1024)
    """Prefix widths, cumulative."""
    k: int = 12
    """Mean number of latents a token."""
    harvest_tokens: int = 500_000
    """Tokens in the store."""
    train_tokens: int = 3_000_000
    """Tokens trained on (several passes over the store)."""
    eval_tokens: int = 32_768
    """Held-out tokens each level is measured on."""
    seed: int = 0
    """Seed of every random draw."""

    def run(self) -> None:
        """Do it."""
        from msae.studies.analyze_run import analyze_run
        from msae.studies.demo import DemoSettings, run_demo

        if self.replace:
            _delete_run(self.out)
            _delete_store(self.store)
        names = ("layer", "widths", "k", "harvest_tokens", "train_tokens", "eval_tokens", "seed")
        run, table = run_demo(DemoSettings(**{name: getattr(self, name) for name in names}), self.out, self.store)
        _print_levels(table)
        _print(*analyze_run(run).shown())
        _say(f"The run is in {run.path}: the SAE in sae/ (SAELens opens it), figures, tables and plots in results/.")
        _say(f"Next:  msae train --independent {run.path}    (plain SAEs to compare it with), then msae analyze")
        _say(f"       msae info {run.path}    (all files, and what each holds)")
        _say("       msae harvest --help    (for a model of your own)")
        _say(f"       msae dashboard {run.path}    (its features, tree, splitting and absorption, in a browser)")


@dataclass(frozen=True, kw_only=True)
class Harvest:
    """Run a model over text and keep the activations of one hook (or several) in a store."""

    model: str
    """Hub name, local folder, or 'demo': the model that ships with msae."""
    out: Path
    """The store's folder; with several hooks, a folder of stores."""
    source: Annotated[Text, OmitArgPrefixes] = field(default_factory=Text)
    hook: tuple[str, ...] = ()
    """Hook names, such as blocks.8.hook_resid_post."""
    layer: int | None = None
    """Instead of --hook: the residual stream after this block, counted from 0."""
    tokens: int = 1_000_000
    """Rows to keep."""
    holdout_tokens: int | None = None
    """Rows set aside for calibration and evaluation; by default a twentieth, 100,000 at most."""
    dtype: Literal["float16", "bfloat16", "float32"] = "float16"
    """Dtype on disk."""
    model_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Dtype the model runs in."""
    context_size: int = 128
    """Tokens a context, special tokens included."""
    batch_size: int = 32
    """Contexts a pass."""
    device: str | None = None
    """cpu, cuda, mps; by default a GPU where there is one."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    compatibility_mode: bool = False
    """TransformerLens' weight processing (LayerNorm folded, weights centred) instead of the raw weights."""
    replace: bool = False
    """Delete the store at --out first."""

    def run(self) -> None:
        """Do it."""
        from msae.activations.harvest import harvest as harvest_one
        from msae.activations.harvest import harvest_hooks
        from msae.activations.transformer_lens import TransformerLensSource

        documents = self.source.documents()
        if documents is None:
            raise ConfigError("no text was given: use --text, --jsonl, --parquet, --dataset or --demo-text")
        source = TransformerLensSource(
            _model(self.model),
            hook_names=self.hook or None,
            layer=self.layer,
            context_size=self.context_size,
            batch_size=self.batch_size,
            dtype=self.model_dtype,
            device=self.device,
            compatibility_mode=self.compatibility_mode,
            revision=self.revision,
        )
        if self.replace:
            _delete_store(self.out)
        settings = {
            "n_tokens": self.tokens,
            "path": self.out,
            "dtype": self.dtype,
            "holdout_tokens": self.holdout_tokens,
        }
        if len(source.specs) > 1:
            stores = harvest_hooks(source, documents, **settings)  # type: ignore[arg-type]
        else:
            stores = {"": harvest_one(source, documents, **settings)}  # type: ignore[arg-type]
        for store in stores.values():
            _say(f"{store.n_rows:,} rows of {store.d_in} at {store.spec.hook_name} are in {store.path}.")
            _say(f"Next:  msae train --store {store.path} --widths 256 1024 4096 --k 32 --out runs/{store.path.name}")


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a nested SAE on a store, or the baselines of a run that is there."""

    store: Path | None = None
    """The activation store (needed, but with --independent: then the one the run was trained on)."""
    out: Path | None = None
    """The run folder (needed, but with --independent)."""
    widths: tuple[int, ...] = ()
    """Prefix widths, cumulative, the last is the dictionary's size (needed). One width: no nesting."""
    independent: Path | None = None
    """A finished nested run: train, for each of its prefix widths, an SAE without nesting, with the run's settings, on
    the same batches, at the L0 that the prefix measured, into RUN/independent/WIDTH."""
    k: int | float = 32
    """Latents a token: exactly (topk), on average (batchtopk), or as a target (jumprelu)."""
    activation: Literal["batchtopk", "topk", "jumprelu", "relu"] = "batchtopk"
    """Activation function."""
    l1: float | None = None
    """Coefficient of the L1 penalty (relu only)."""
    level_weights: Literal["equal", "balanced"] = "equal"
    """How much each level counts in the loss."""
    sampled_prefixes: int | None = None
    """Draw this many prefixes anew at each step; the widths stay the levels that figures are given for."""
    tokens: int | None = None
    """Tokens to train on; by default four passes over the store."""
    batch_size: int = 2048
    """Tokens a step."""
    lr: float | None = None
    """Peak learning rate; by default a rule in the number of latents and the batch."""
    auxk_alpha: float = 1 / 32
    """Weight of the loss that revives dead latents."""
    seed: int = 0
    """Seed of every random draw."""
    kernel: Literal["auto", "reference", "sparse", "fused"] = "auto"
    """How a step is computed."""
    device: str | None = None
    """cpu, cuda, mps; by default a CUDA GPU where there is one. The same seed gives the same bits on a CPU alone."""
    wandb: str | None = None
    """Weights & Biases project to log to as well."""
    resume: bool = False
    """Go on with the unfinished run at --out."""
    replace: bool = False
    """Delete the run at --out first."""

    def run(self) -> None:
        """Do it."""
        if self.independent is not None:
            self._train_independent(self.independent)
            return
        from msae.activations.store import ActivationStore
        from msae.sae import SparseAutoencoder
        from msae.training import Run, TrainConfig, train

        if self.store is None or self.out is None or not self.widths:
            raise ConfigError("train needs --store, --out and --widths (or --independent RUN, for a run's baselines)")
        existing = Run(self.out)
        if (self.out / "config.json").is_file() and not (self.resume or self.replace):
            state = "a finished" if existing.is_finished else "an unfinished"
            resume = "" if existing.is_finished else "go on with it: add --resume; "
            raise ConfigError(
                f"{self.out} holds {state} run ({resume}start over: add --replace; or choose another --out)"
            )
        store = ActivationStore.open(self.store)
        sae = SparseAutoencoder(
            store.d_in, self.widths[-1], self._activation_fn(), self._nesting(), seed=self.seed, device=self._device()
        )
        config = TrainConfig(
            n_tokens=self.tokens or 4 * store.n_rows,
            batch_size=self.batch_size,
            lr=self.lr,
            auxk_alpha=self.auxk_alpha,
            seed=self.seed,
            kernel=self.kernel,
        )
        if self.replace:
            _delete_run(self.out)
        run = train(sae, store, config, self.out, wandb_project=self.wandb)
        for level, record in enumerate(run.sae.recorded):
            _say(f"level {level}: width {record.width:,}  L0 {record.l0:.2f}  FVU {record.fvu:.4f}")
        _say(f"The run is in {run.path}. Next:  msae eval {run.path}")

    def _train_independent(self, path: Path) -> None:
        from msae.studies.independent import train_independent
        from msae.training import Run

        given = [f for f in fields(self) if f.name not in ("independent", "store", "device", "wandb", "resume")]
        flags = ", ".join("--" + f.name.replace("_", "-") for f in given if getattr(self, f.name) != f.default)
        if flags:
            raise ConfigError(f"--independent takes its settings from {path}: leave out {flags}")
        run = Run.open(path)
        device = str(self._device())
        baselines = train_independent(run, store=self.store, device=device, wandb_project=self.wandb)
        for record, (width, baseline) in zip(run.sae.recorded, baselines.items(), strict=True):
            (own,) = baseline.sae.recorded
            _say(
                f"width {width:,}: nested L0 {record.l0:.2f}, FVU {record.fvu:.4f}; "
                f"independent L0 {own.l0:.2f}, FVU {own.fvu:.4f}"
            )
        _say(f"The baselines are in {run.path / 'independent'}, a run each. Next:  msae analyze {run.path}")

    def _device(self) -> torch.device:
        import torch

        try:
            device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ConfigError(f"--device {self.device}: not to be had here ({str(error).splitlines()[0]})") from error
        return device

    def _activation_fn(self) -> ActivationFunction:
        from msae.sae import BatchTopK, JumpReLU, ReLU, TopK

        if (self.l1 is not None) != (self.activation == "relu"):
            raise ConfigError("--l1 belongs to --activation relu, which needs it: the two go together")
        if self.activation == "relu":
            assert self.l1 is not None
            return ReLU(l1_coefficient=self.l1)
        if self.activation == "topk":
            if self.k != int(self.k):
                raise ConfigError(f"--k {self.k}: topk keeps a whole number of latents a token")
            return TopK(k=int(self.k))
        return JumpReLU(l0=self.k) if self.activation == "jumprelu" else BatchTopK(k=self.k)

    def _nesting(self) -> Nesting:
        from msae.sae import FixedPrefixes, SampledPrefixes, Unnested

        unequal = self.level_weights != "equal"
        if unequal and (self.sampled_prefixes is not None or len(self.widths) == 1):
            raise ConfigError(f"--level-weights {self.level_weights} goes with several fixed widths alone")
        if self.sampled_prefixes is not None:
            return SampledPrefixes(n=self.sampled_prefixes, widths=self.widths)
        return FixedPrefixes(self.widths, self.level_weights) if len(self.widths) > 1 else Unnested()


@dataclass(frozen=True, kw_only=True)
class Eval:
    """Measure what each level of a run is worth: FVU, L0, CE recovered, KL, dead, dense, bits."""

    path: Positional[Path]
    """The run."""
    source: Annotated[Text, OmitArgPrefixes] = field(default_factory=Text)
    tokens: int = 32_768
    """Tokens to measure on."""
    model: str | None = None
    """Where the model is, if it has moved."""
    store: Path | None = None
    """Where the store is, if it has moved."""
    device: str | None = None
    """cpu, cuda, mps."""
    force: bool = False
    """Go on when the model is not the one recorded."""

    def run(self) -> None:
        """Do it."""
        from msae.studies.evaluate_run import evaluate_run
        from msae.training import Run

        model = None if self.model is None else str(_model(self.model))
        run, documents = Run.open(self.path), self.source.documents()
        table = evaluate_run(
            run, documents, n_tokens=self.tokens, model=model, store=self.store, device=self.device, force=self.force
        )
        _print_levels(table)
        _say(f"Written to {run.results / 'levels.json'}, plotted in {run.results / 'levels.html'}.")


@dataclass(frozen=True, kw_only=True)
class Analyze:
    """Measure how features relate across the levels of a run: tree, splitting, absorption, each beside its null."""

    path: Positional[Path]
    """The run."""
    tokens: int = 1_000_000
    """Tokens to measure on, at most."""
    holdout: bool = False
    """Measure on the store's holdout instead of the rows trained on."""
    store: Path | None = None
    """Where the store is, if it has moved, or another of the same model and hook."""
    model: str | None = None
    """Where the model is, if it has moved. It gives tokens their text and latents their logits."""
    concepts: Path | None = None
    """A Parquet table of your own labels: document, offset (or start and end), label, parent."""
    concept_tokens: int = 100_000
    """Tokens on which labelled concepts are probed, at most; 0 leaves them out."""
    device: str | None = None
    """cpu, cuda, mps."""
    force: bool = False
    """Go on when the store or the model is not the one recorded."""

    def run(self) -> None:
        """Do it."""
        from msae.studies.analyze_run import analyze_run
        from msae.training import Run

        model = None if self.model is None else str(_model(self.model))
        run = Run.open(self.path)
        found = analyze_run(
            run,
            tokens=self.tokens,
            holdout=self.holdout,
            store=self.store,
            model=model,
            concepts=self.concepts,
            concept_tokens=self.concept_tokens,
            device=self.device,
            force=self.force,
        )
        _print(*found.shown())
        _say(f"Tables are in {run.results} (Parquet, columns documented): msae info {self.path} lists them.")


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Measure a run beside others on the same tokens: figures, and which latents of one are which of another."""

    path: Positional[Path]
    """The run."""
    others: Positional[tuple[Path, ...]] = ()
    """Runs, saved SAEs or folders of runs; by default the run's independent baselines."""
    name: str | None = None
    """What to call the comparison; by default as the others are called."""
    tokens: int = 65_536
    """Tokens latents are matched on, at most."""
    eval_tokens: int = 8_192
    """Tokens each level is measured on."""
    store: Path | None = None
    """The store to compare on; by default the one the run was trained on."""
    ce: bool = True
    """Measure cross-entropies, which needs the model."""
    force: bool = False
    """Go on when an SAE and the store do not belong together."""

    def run(self) -> None:
        """Do it."""
        from msae.studies.compare_run import compare_with
        from msae.training import Run

        found, folder = compare_with(
            Run.open(self.path),
            self.others,
            name=self.name,
            store=self.store,
            ce=self.ce,
            n_tokens=self.tokens,
            eval_tokens=self.eval_tokens,
            force=self.force,
        )
        _print(found)
        _say(f"Tables are in {folder}; msae dashboard {self.path} shows them.")


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """Open a browser on everything known about a run: levels, features, tree, splitting, absorption."""

    path: Positional[Path]
    """The run."""
    port: int | None = None
    """Port to serve on; by default the first free one from 8050 on."""
    browser: bool = True
    """Open a browser."""
    host: str = "127.0.0.1"
    """Address to serve on. Any other than this machine's own lets others read the run."""
    model: str | None = None
    """Where the model is, if it has moved. The live prompt alone needs it."""

    def run(self) -> None:
        """Do it."""
        with _dashboards():
            from msae_dashboards.server import serve
        model = None if self.model is None else str(_model(self.model))
        try:
            serve(self.path, port=self.port, host=self.host, model=model, browser=self.browser)
        except KeyboardInterrupt:
            _say("")


@dataclass(frozen=True, kw_only=True)
class ExportHtml:
    """Write a run's pages as files that open with no server and no network."""

    path: Positional[Path]
    """The run."""
    out: Path | None = None
    """The folder to write, by default RUN/html. An earlier export there is replaced, nothing else is."""
    features: tuple[int, ...] = ()
    """These latents."""
    level: int | None = None
    """All latents of this level."""
    top: int | None = None
    """This many, the largest by --by; without it, latents that split and their children (the default: 100 of them)."""
    by: str | None = None
    """A column of the tables features or explanations, such as density or f1."""

    def run(self) -> None:
        """Do it."""
        with _dashboards():
            from msae_dashboards.export import export_html
        folder = export_html(
            self.path, self.out, features=self.features or None, level=self.level, top=self.top, by=self.by
        )
        _say(f"Open {folder / 'index.html'}")


@dataclass(frozen=True, kw_only=True)
class Info:
    """Say what a store, a saved SAE or a run is."""

    path: Positional[Path]
    """The folder."""

    def run(self) -> None:
        """Do it."""
        from msae.studies.info import describe

        _say(describe(self.path))


Command = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Harvest, subcommand("harvest")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Eval, subcommand("eval")]
    | Annotated[Analyze, subcommand("analyze")]
    | Annotated[Compare, subcommand("compare")]
    | Annotated[Dashboard, subcommand("dashboard")]
    | Annotated[ExportHtml, subcommand("export-html")]
    | Annotated[Info, subcommand("info")]
)


def main() -> None:
    """The `msae` command. Exit status 2 for anything the user can mend, with one line that says how."""
    command = tyro.cli(
        Command, prog="msae", description="Nested sparse autoencoders.", config=(OmitSubcommandPrefixes,)
    )
    try:
        command.run()
    except MsaeError as error:
        print(f"msae: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the output has gone, as in `msae info RUN | head`
    except KeyboardInterrupt:
        print(
            "msae: stopped. Called again, a harvest goes on where it stood, so does a run (--resume).", file=sys.stderr
        )
        raise SystemExit(130) from None


@contextmanager
def _dashboards() -> Iterator[None]:
    """Around an import of `msae_dashboards`: says how to install what it needs."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("dash", "dash_ag_grid", "dash_mantine_components", "flask"):
            raise
        raise ConfigError(f"{error.name} is not installed: pip install 'msae[dashboards]'") from error


def _model(name: str) -> str | Path:
    if name != DEMO:
        return name
    import msae.demo

    return msae.demo.model_path()


def _delete_run(path: Path) -> None:
    """Delete a run, and nothing else."""
    from msae.training.run import remove_run

    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        remove_run(path)


def _delete_store(path: Path) -> None:
    """Delete a store, finished or not, and nothing else."""
    from msae.activations.manifest import remove_store

    if path.exists():
        remove_store(path)


def _print_levels(table: object) -> None:
    from msae.analysis.display import levels_table

    _print(levels_table(table))  # type: ignore[arg-type]


def _print(*parts: RenderableType) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140)
    for part in parts:
        console.print(part)


def _say(text: str) -> None:
    print(text)


if __name__ == "__main__":
    main()
