"""Vectors into a file, block by block: Parquet (with names) or .npy; the file is whole or not there."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, final

import numpy as np
from jaxtyping import Float
from torch import Tensor

from msae.core.errors import ConfigError, DiskError
from msae.nested.embedding import Embedded


class VectorFile(ABC):
    """A file being written; `width` numbers a vector."""

    suffix: str

    def __init__(self, path: Path, width: int) -> None:
        self.path, self.width, self.n = path, width, 0

    @abstractmethod
    def add(self, names: Sequence[str], vectors: Float[Tensor, "block width"]) -> None:
        """Write a block."""

    @abstractmethod
    def close(self) -> None:
        """Write what is pending."""


@final
class ParquetVectors(VectorFile):
    """Columns `document` and `vector` (a list of `width` float32), a row group a block."""

    suffix = ".parquet"

    def __init__(self, path: Path, width: int) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        super().__init__(path, width)
        self._schema = pa.schema([("document", pa.string()), ("vector", pa.list_(pa.float32(), width))])
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")

    def add(self, names: Sequence[str], vectors: Float[Tensor, "block width"]) -> None:
        """A row group."""
        import pyarrow as pa

        flat = pa.array(vectors.float().numpy().reshape(-1))
        columns = [pa.array(names, pa.string()), pa.FixedSizeListArray.from_arrays(flat, self.width)]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self.n += len(names)

    def close(self) -> None:
        """The footer."""
        self._writer.close()


@final
class NpyVectors(VectorFile):
    """One float32 array (vectors, width), in the order read."""

    suffix = ".npy"

    def __init__(self, path: Path, width: int) -> None:
        super().__init__(path, width)
        self._file: IO[bytes] = path.open("wb")
        self._header()

    def add(self, names: Sequence[str], vectors: Float[Tensor, "block width"]) -> None:
        """The numbers behind those that are there."""
        self._file.write(np.ascontiguousarray(vectors.float().numpy()).tobytes())
        self.n += len(names)

    def close(self) -> None:
        """The header again, now that the number of vectors is known: numpy leaves room for it to grow."""
        end = self._file.tell()
        self._file.seek(0)
        self._header()
        assert self._file.tell() <= end
        self._file.close()

    def _header(self) -> None:
        header: dict[str, Any] = {"descr": "<f4", "fortran_order": False, "shape": (self.n, self.width)}
        np.lib.format.write_array_header_1_0(self._file, header)


VECTOR_FILES: tuple[type[VectorFile], ...] = (ParquetVectors, NpyVectors)


def write_vectors(path: Path, width: int, embedded: Embedded) -> int:
    """Write names and vectors to `path`, in the format of its ending, and return how many.

    Raises `ConfigError` for another ending, `DiskError` where it cannot be written; then `path` is as it was.
    """
    formats = {kind.suffix: kind for kind in VECTOR_FILES}
    if path.suffix not in formats:
        raise ConfigError(f"{path} ends in {path.suffix!r}: name a file that ends in {' or '.join(formats)}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = formats[path.suffix](temporary, width)
        with contextlib.closing(file):
            for names, vectors in embedded:
                file.add(names, vectors)
        temporary.replace(path)
    except OSError as error:
        raise DiskError(f"could not write {path}: {error}. Nothing was changed; check the disk") from error
    finally:
        temporary.unlink(missing_ok=True)
    return file.n
