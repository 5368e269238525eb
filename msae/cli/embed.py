"""`msae embed`: texts or stored rows as vectors, cut to a level or to so many dimensions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes

from msae.cli.output import say
from msae.cli.row_source import RowSource


@dataclass(frozen=True, kw_only=True)
class Embed:
    """Write texts, or the rows of a store, as vectors of a level or of so many dimensions, renormalised."""

    out: Path
    """File to write: .parquet (document, vector) or .npy (vectors in the order read)."""
    source: Annotated[RowSource, OmitArgPrefixes] = field(default_factory=RowSource)
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
        spec, given = self.source.opened(code.source if code else None, force=self.force)
        kept = {"level": self.level, "dimensions": self.dimensions, "normalised": self.normalise}
        embedding = Embedding.of(spec.d_in, code, **kept)  # type: ignore[arg-type]
        embedded = embed_documents(*given, embedding) if isinstance(given, tuple) else embed_store(given, embedding)
        embedding.require_source(spec, what=f"the code {self.code} and these rows", force=self.force)
        count = write_vectors(self.out, embedding.width, embedded)
        say(f"{count:,} vectors of {embedding.width} numbers are in {self.out}.")
