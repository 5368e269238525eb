"""The model that turns a command's texts into rows, one each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from msae.cli.places import model_named
from msae.core.errors import ConfigError

if TYPE_CHECKING:
    from msae.activations.pooled import PooledSource
    from msae.core.spec import SourceSpec


@dataclass(frozen=True, kw_only=True)
class PooledModel:
    """A model, where it is read, and how a text's activations become one row."""

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

    def opened(self, recorded: SourceSpec | None, *, force: bool = False) -> PooledSource:
        """The model that was named, or the one that the code's rows are from."""
        from msae.activations.pooled import PooledSource
        from msae.activations.reopen import reopen_pooled
        from msae.activations.transformer_lens import TransformerLensSource

        if self.hook is None and self.layer is None:
            if recorded is None:
                raise ConfigError("say where the model is read: --layer or --hook, or a --code that records it")
            return reopen_pooled(
                recorded,
                model=None if self.model is None else str(model_named(self.model)),
                device=self.device,
                batch_size=self.batch_size,
                long=self.long,
                force=force,
            )
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
