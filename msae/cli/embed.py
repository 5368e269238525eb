"""`msae embed`: texts or stored rows as vectors, cut to a level or to so many dimensions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitArgPrefixes

from msae.cli.output import say
from msae.cli.places import model_named
from msae.cli.text import Text
from msae.core.errors import ConfigError

if TYPE_CHECKING:
    from msae.activations.pooled import PooledSource
    from msae.core.spec import SourceSpec


@dataclass(frozen=True, kw_only=True)
class Embed:
    """Write texts, or the rows of a store, as vectors of a level or of so many dimensions, renormalised."""

    out: Path
    """File to write: .parquet (document, vector) or .npy (vectors in the order read)."""
    source: Annotated[Text, OmitArgPrefixes] = field(default_factory=Text)
    model: str | None = None
    """For texts: hub name, local folder, or 'demo'. With a code, by default the model it was fitted on."""
    hook: str | None = None
    """For texts: the hook whose activations are pooled."""
    layer: int | None = None
    """Instead of --hook: the residual stream after this block, counted from 0."""
    pooling: Literal["mean", "text", "cls", "last"] | None = None
    """How a document's rows become one; by default mean for an encoder, last for a causal model."""
    long: Literal["error", "cut"] = "error"
    """What becomes of a document that is longer than a context."""
    context_size: int = 128
    """Tokens a context, special tokens included."""
    batch_size: int = 32
    """Documents a pass."""
    device: str | None = None
    """cpu, cuda, mps."""
    store: Path | None = None
    """Instead of texts: a store, every row of which becomes a vector."""
    code: Path | None = None
    """A nested code (msae nest); without one, rows as they are."""
    level: int | None = None
    """The code's level; by default the last."""
    dimensions: int | None = None
    """Instead of --level: as many numbers."""
    normalise: bool = True
    """Divide every vector by its norm."""
    force: bool = False
    """Go on when the code was fitted on another source's rows."""

    def run(self) -> None:
        """Do it."""
        from msae.nested import load_code
        from msae.nested.embedding import Embedding, embed_documents, embed_store
        from msae.nested.vector_files import write_vectors

        code = None if self.code is None else load_code(self.code)
        documents = self.source.documents()
        if (documents is None) == (self.store is None):
            raise ConfigError("give texts (--text, --jsonl, --csv, --parquet, --dataset) or --store, one of the two")
        kept = {"level": self.level, "dimensions": self.dimensions, "normalised": self.normalise}
        if self.store is not None:
            from msae.activations.store import ActivationStore

            store = ActivationStore.open(self.store)
            spec, embedding = store.spec, Embedding.of(store.d_in, code, **kept)  # type: ignore[arg-type]
            embedded = embed_store(store, embedding)
        else:
            assert documents is not None
            source = self._pooled(code.source if code else None)
            (spec,) = source.specs.values()
            embedding = Embedding.of(spec.d_in, code, **kept)  # type: ignore[arg-type]
            embedded = embed_documents(source, documents, embedding)
        embedding.require_source(spec, what=f"the code {self.code} and these rows", force=self.force)
        count = write_vectors(self.out, embedding.width, embedded)
        say(f"{count:,} vectors of {embedding.width} numbers are in {self.out}.")

    def _pooled(self, recorded: SourceSpec | None) -> PooledSource:
        """The model that was named, or the one that the code's rows are from."""
        from msae.activations.pooled import PooledSource
        from msae.activations.reopen import reopen_pooled
        from msae.activations.transformer_lens import TransformerLensSource

        if self.hook is None and self.layer is None:
            if recorded is None:
                raise ConfigError("say where the model is read: --layer or --hook, or a --code that records it")
            model = None if self.model is None else str(model_named(self.model))
            options = {"device": self.device, "batch_size": self.batch_size, "long": self.long, "force": self.force}
            return reopen_pooled(recorded, model=model, **options)  # type: ignore[arg-type]
        if self.model is None:
            raise ConfigError("--layer and --hook need --model: a hub name, a folder, or 'demo'")
        source = TransformerLensSource(
            model_named(self.model),
            self.hook,
            layer=self.layer,
            context_size=self.context_size,
            batch_size=self.batch_size,
            device=self.device,
        )
        return PooledSource(source, self.pooling, long=self.long)
