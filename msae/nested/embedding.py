"""Vectors at the size asked for: the beginning of a code, or of the row itself, renormalised.

As `dimensions` of OpenAI's embeddings and `truncate_dim` of sentence-transformers: cut, then divide by the norm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from msae.activations.pooled import PooledSource
from msae.activations.store import ActivationStore
from msae.core.errors import ConfigError
from msae.core.spec import SourceSpec, require_same_source
from msae.data.documents import Document, NamesRead
from msae.nested.code import NestedCode
from msae.nested.prefixes import RawPrefix
from msae.nested.rows import BLOCK_ROWS


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """What is kept of a row's code: a `level`, or as many `dimensions` (neither: all), and whether it is `normalised`.

    Raises `ConfigError` for both at once, a level that does not exist, dimensions beyond the width, and dimensions
    other than a level's where a level's code is no beginning of the next one's.
    """

    code: NestedCode
    level: int | None = None
    dimensions: int | None = None
    normalised: bool = True

    def __post_init__(self) -> None:
        if self.level is not None and self.dimensions is not None:
            raise ConfigError(f"level = {self.level} and dimensions = {self.dimensions} were both given: give one")
        width, asked = self.code.width(self.level), self.dimensions
        if asked is None:
            return
        if not 1 <= asked <= width:
            raise ConfigError(f"dimensions = {asked}: {self.code!r} gives 1 to {width}")
        if not self.code.prefixes:
            self.code.level_of(asked)

    @classmethod
    def of(
        cls,
        d_in: int,
        code: NestedCode | None = None,
        *,
        level: int | None = None,
        dimensions: int | None = None,
        normalised: bool = True,
    ) -> Embedding:
        """Of a code, or (None) of rows of `d_in` numbers as they are, which have no levels.

        Raises `ConfigError` for a level without a code, or a code of rows of another width.
        """
        if code is None and level is not None:
            raise ConfigError(f"level = {level}: rows as they are have no levels. Give a code, or dimensions")
        if code is not None and code.d_in != d_in:
            raise ConfigError(f"{code!r} takes rows of {code.d_in} numbers, these have {d_in}")
        chosen = code or RawPrefix(d_in, (d_in,))
        return cls(code=chosen, level=level, dimensions=dimensions, normalised=normalised)

    @property
    def width(self) -> int:
        """Numbers a vector."""
        return self.dimensions or self.code.width(self.level)

    def __call__(self, rows: Float[Tensor, "rows d_in"]) -> Float[Tensor, "rows width"]:
        """The vectors of rows; a row whose code is all zeros stays zeros."""
        level = self.level
        if self.dimensions is not None:
            level = next(g for g, width in enumerate(self.code.widths) if width >= self.dimensions)
        kept = self.code.transform(rows, level)[:, : self.width]
        return F.normalize(kept, dim=1) if self.normalised else kept

    def require_source(self, spec: SourceSpec, *, what: str, force: bool = False) -> None:
        """Raise `MismatchError` where the code was fitted on the rows of another source."""
        if self.code.source is not None:
            require_same_source(self.code.source, spec, what=what, force=force)


Embedded = Iterator[tuple[list[str], Float[Tensor, "block width"]]]


def embed_documents(source: PooledSource, documents: Iterable[Document], embedding: Embedding) -> Embedded:
    """Names and vectors of documents, a batch at a time, in order; raises what `PooledSource.contexts` does."""
    read = NamesRead(documents)
    for batch in source.contexts(read):
        rows = source.rows(batch)
        names = [read.names[number] for number in batch.document.amax(1).tolist()]
        yield names, embedding(rows.float().cpu())


def embed_store(store: ActivationStore, embedding: Embedding, block: int = BLOCK_ROWS) -> Embedded:
    """Names of documents and vectors of a store's rows, in order."""
    names = store.document_names()
    for start in range(0, store.n_rows, block):
        stop = min(start + block, store.n_rows)
        of = store.tokens(start, stop).document.tolist()
        yield [names[number] for number in of], embedding(store.rows(start, stop))
