"""Where a command's rows come from: texts put through a model, or a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes

from msae.cli.pooled_model import PooledModel
from msae.cli.text import Text
from msae.core.errors import ConfigError

if TYPE_CHECKING:
    from msae.activations.pooled import PooledSource
    from msae.activations.store import ActivationStore
    from msae.core.spec import SourceSpec
    from msae.data.documents import Documents


@dataclass(frozen=True, kw_only=True)
class RowSource:
    """Texts and a model, or a store. Give one of the two."""

    texts: Annotated[Text, OmitArgPrefixes] = field(default_factory=Text)
    model: Annotated[PooledModel, OmitArgPrefixes] = field(default_factory=PooledModel)
    store: Path | None = None
    """Instead of texts: a store, one row a document."""

    def opened(
        self, recorded: SourceSpec | None, *, force: bool = False
    ) -> tuple[SourceSpec, ActivationStore | tuple[PooledSource, Documents]]:
        """What makes the rows, and a store or a model and documents. `recorded`: of a code's rows, where there is one;
        the model defaults to it."""
        from msae.activations.store import ActivationStore

        documents = self.texts.documents()
        if (documents is None) == (self.store is None):
            raise ConfigError("give texts (--text, --jsonl, --csv, --parquet, --dataset) or --store, one of the two")
        if self.store is not None:
            store = ActivationStore.open(self.store)
            return store.spec, store
        assert documents is not None
        source = self.model.opened(recorded, force=force)
        (spec,) = source.specs.values()
        return spec, (source, documents)
