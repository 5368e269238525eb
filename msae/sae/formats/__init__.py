"""Others' files: which format a path has, and the SAE in it.

To add a format: a subclass of `Format` in a file of its own, and an entry in `FORMATS`.
"""

from __future__ import annotations

from pathlib import Path

from msae.core.errors import CheckpointError
from msae.sae.formats.dictionary_learning import DictionaryLearning
from msae.sae.formats.foreign import ForeignSae, Format, as_sparse_autoencoder
from msae.sae.formats.gemma_scope import GemmaScope, GemmaScope2
from msae.sae.formats.saelens import SaeLens
from msae.sae.formats.sparsify import Sparsify

FORMATS: tuple[Format, ...] = (SaeLens(), Sparsify(), DictionaryLearning(), GemmaScope2(), GemmaScope())


def format_of(path: Path) -> Format:
    """The format of the files at `path`; `CheckpointError` names those that are known."""
    for reader in FORMATS:
        if reader.recognises(path):
            return reader
    there = "is not there" if not path.exists() else "holds no SAE of a format that is known"
    raise CheckpointError(f"{path} {there} ({', '.join(reader.name for reader in FORMATS)})")


def read_foreign(path: str | Path) -> ForeignSae:
    """The SAE at `path` as its file has it."""
    path = Path(path)
    return format_of(path).read(path)


__all__ = ["FORMATS", "ForeignSae", "Format", "as_sparse_autoencoder", "format_of", "read_foreign"]
