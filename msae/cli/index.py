"""`msae index`: texts, or the rows of a store, to be found by meaning at any level of a nested code."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes

from msae.cli.output import say
from msae.cli.row_source import RowSource


@dataclass(frozen=True, kw_only=True)
class IndexTexts:
    """Index texts, or the rows of a store, by a nested code's levels. Called again after a kill it goes on."""

    out: Path
    """The index's folder."""
    source: Annotated[RowSource, OmitArgPrefixes] = field(default_factory=RowSource)
    code: Path | None = None
    """A nested code (msae nest); without one, rows as they are, at halving widths."""
    level: int | None = None
    """The last level that can be searched; by default the code's last."""
    force: bool = False
    """Go on when the code was fitted on another source's rows."""

    def run(self) -> None:
        """Do it."""
        from msae.nested import RawPrefix, load_code
        from msae.nested.index import Index
        from msae.nested.index_sources import indexed_documents, indexed_store

        code = None if self.code is None else load_code(self.code)
        spec, given = self.source.opened(code.source if code else None, force=self.force)
        rest = indexed_documents(*given) if isinstance(given, tuple) else indexed_store(given)
        chosen = code or RawPrefix(spec.d_in, source=spec)
        index = Index.build(self.out, chosen, rest, spec=spec, level=self.level, force=self.force)
        say(f"{len(index):,} items, {index.bytes / len(index):,.0f} bytes each, are in {self.out}.")
        say(f'Next:  msae search {self.out} "a text"')
