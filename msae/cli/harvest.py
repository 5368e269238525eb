"""`msae harvest`: activations of a model on text, into a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import OmitArgPrefixes

from msae.cli.output import say
from msae.cli.places import model_named
from msae.cli.text import Text
from msae.core.dtypes import DtypeName
from msae.core.errors import ConfigError


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
    """Rows (tokens) to keep."""
    holdout_tokens: int | None = None
    """Rows set aside for calibration and evaluation; by default a twentieth, 100,000 at most."""
    leave_out_sinks: bool = False
    """Keep no row above 10 times the median norm. msae train has the same flag, for stores that keep them."""
    dtype: DtypeName = "float16"
    """Precision on disk."""
    model_dtype: DtypeName = "float32"
    """Precision the model runs in."""
    context_size: int = 128
    """Tokens in a context, special tokens included."""
    batch_size: int = 32
    """Contexts in one pass of the model."""
    device: str | None = None
    """cpu, cuda or mps; by default a GPU where there is one."""
    prepend_bos: bool | None = None
    """Open each context with BOS; by default where the tokenizer defines one."""
    bos_between_documents: bool = True
    """Put BOS between the documents of a context as well, where it opens with BOS."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    compatibility_mode: bool = False
    """TransformerLens' weight processing (LayerNorm folded, weights centred) instead of the checkpoint's."""
    pooling: Literal["mean", "text", "cls", "last"] | None = None
    """One row a document: the mean over all tokens, over those of the text, the first position, or the last."""
    long: Literal["error", "cut"] = "error"
    """With --pooling, what becomes of a document that is longer than a context."""
    replace: bool = False
    """Replace the store at --out once the new one is finished."""

    def run(self) -> None:
        """Do it."""
        from msae.activations.harvest import harvest as harvest_one
        from msae.activations.harvest import harvest_hooks, harvest_request
        from msae.activations.pooled import PooledSource
        from msae.activations.source import ActivationSource
        from msae.activations.transformer_lens import TransformerLensSource

        harvest_request(self.tokens, self.dtype, self.holdout_tokens)  # before the model is opened, which takes a while
        documents = self.source.documents()
        if documents is None:
            raise ConfigError("no text was given: use --text, --jsonl, --csv, --parquet, --dataset or --demo-text")
        model = TransformerLensSource(
            model_named(self.model),
            hook_names=self.hook or None,
            layer=self.layer,
            context_size=self.context_size,
            batch_size=self.batch_size,
            dtype=self.model_dtype,
            device=self.device,
            compatibility_mode=self.compatibility_mode,
            prepend_bos=self.prepend_bos,
            bos_between_documents=self.bos_between_documents,
            revision=self.revision,
        )
        source: ActivationSource = PooledSource(model, self.pooling, long=self.long) if self.pooling else model
        settings = {
            "n_tokens": self.tokens,
            "path": self.out,
            "replace": self.replace,
            "dtype": self.dtype,
            "holdout_tokens": self.holdout_tokens,
            "leave_out_sinks": self.leave_out_sinks,
        }
        if len(source.specs) > 1:
            stores = harvest_hooks(source, documents, **settings)  # type: ignore[arg-type]
        else:
            stores = {"": harvest_one(source, documents, **settings)}  # type: ignore[arg-type]
        if documents.skipped:
            say(f"{documents.skipped:,} rows without text were left out.")
        for store in stores.values():
            say(f"{store.n_rows:,} rows of {store.d_in} at {store.spec.hook_name} are in {store.path}.")
            if self.pooling:
                say(f"Next:  msae nest --store {store.path} --kind pca --out codes/{store.path.name}")
                continue
            say(f"Next:  msae train --store {store.path} --widths 256 1024 4096 --k 32 --out runs/{store.path.name}")
