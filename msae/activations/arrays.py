"""An array of activations made elsewhere, as a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.activations.fingerprint import tensor_fingerprint
from msae.activations.shards import map_tensors
from msae.activations.source import ContextBatch
from msae.core.checked import checked
from msae.core.config import nearest, require
from msae.core.dtypes import torch_dtypes
from msae.core.errors import SourceError, StoreError
from msae.core.spec import SourceSpec
from msae.data.contexts import NOWHERE
from msae.data.documents import Document

HOOK = "rows"
KEPT_DTYPES = tuple(torch_dtypes().values())


@checked
class ArraySource:
    """Rows of activations from an array: ``(row, d_in)``, or ``(sequence, position, d_in)``.

    `array`: a tensor, a numpy array, a ``.npy`` file, or a ``.safetensors`` file (`key` names the tensor when it holds
    several); files are memory-mapped. float64 becomes float32. `name` is recorded as the model (default: the file's
    name). `mask`: of the same shape but for its last dimension, false (or 0) where a row is left out, such as padding;
    by default none is. `batch_rows`: about how many rows a batch holds.

    There is no text: `contexts` reads no documents, and a row's `document` is its index (or its sequence's), its
    `offset` the position in the sequence. Raises `SourceError` for what is not such an array.
    """

    def __init__(
        self,
        array: Tensor | np.ndarray | str | Path,
        *,
        key: str | None = None,
        mask: Tensor | np.ndarray | Sequence | None = None,
        name: str = "",
        batch_rows: int = 8192,
    ) -> None:
        require(batch_rows > 0, "batch_rows", batch_rows, "a positive number of rows")
        path = Path(array).expanduser().resolve() if isinstance(array, str | Path) else None
        rows = _read(path, key) if path is not None else torch.as_tensor(array)
        named = str(path) if path is not None else "the array"
        if not rows.is_floating_point() or rows.ndim not in (2, 3) or rows.numel() == 0:
            raise SourceError(
                f"{named} has shape {tuple(rows.shape)} and dtype {rows.dtype}; activations are floating-point numbers "
                "of shape (row, d_in) or (sequence, position, d_in)"
            )
        self._keep = None if mask is None else torch.as_tensor(mask).bool()
        if self._keep is not None and self._keep.shape != rows.shape[:-1]:
            raise SourceError(f"mask has shape {tuple(self._keep.shape)}, {named} calls for {tuple(rows.shape[:-1])}")
        self._rows = rows.detach() if rows.ndim == 3 else rows.detach()[:, None, :]
        self._positions = self._rows.shape[1]
        self._batch_size = max(1, batch_rows // self._positions)
        kept = rows.dtype if rows.dtype in KEPT_DTYPES else torch.float32
        self._dtype = kept
        self._spec = SourceSpec(
            kind="array",
            model=name or (path.stem if path is not None else "array"),
            model_path=str(path or ""),
            revision=tensor_fingerprint(self._rows),
            hook_name=key or HOOK,
            d_in=self._rows.shape[2],
            dtype=str(kept).removeprefix("torch."),
            context_size=self._positions if rows.ndim == 3 else 0,
        )

    @property
    def specs(self) -> Mapping[str, SourceSpec]:
        """One hook: `key`, or ``rows``."""
        return {self._spec.hook_name: self._spec}

    def contexts(self, documents: Iterable[Document] = ()) -> Iterator[ContextBatch]:
        """The sequences in order (a row of a two-dimensional array is a sequence of one); `documents` are not read."""
        for start in range(0, len(self._rows), self._batch_size):
            sequences = torch.arange(start, min(start + self._batch_size, len(self._rows)))
            keep = None if self._keep is None else self._keep[sequences].view(-1, self._positions)
            yield numbered_contexts(sequences, self._positions, keep)

    def activations(self, batch: ContextBatch) -> dict[str, Float[Tensor, "batch context d_in"]]:
        """The batch's sequences, found by their index."""
        sequences = numbers_of(batch).to(self._rows.device)
        if batch.token_ids.shape[1] != self._positions or bool((sequences >= len(self._rows)).any()):
            raise SourceError(
                f"the batch is not of this array: it has {batch.token_ids.shape[1]} positions and sequences up to "
                f"{int(sequences.max())}; the array has {self._positions} and {len(self._rows)}"
            )
        return {self._spec.hook_name: self._rows[sequences].to(self._dtype)}


def numbered_contexts(
    sequences: Int[Tensor, " all"], positions: int, keep: Bool[Tensor, "all positions"] | None = None
) -> ContextBatch:
    """Contexts without text: `document` is the sequence's number, `offset` the position, every token id 0.

    Positions where `keep` is False are padding; a sequence of padding alone is left out.
    """
    keep = torch.ones(len(sequences), positions, dtype=torch.bool) if keep is None else keep.cpu()
    some = keep.any(dim=1)
    sequences, keep = sequences[some], keep[some]
    return ContextBatch(
        token_ids=torch.zeros(keep.shape, dtype=torch.int64),
        document=torch.where(keep, sequences[:, None], NOWHERE),
        offset=torch.where(keep, torch.arange(positions), NOWHERE),
        attention=keep,
    )


def numbers_of(batch: ContextBatch) -> Int[Tensor, " batch"]:
    """The sequence's number of each context of `numbered_contexts`."""
    return batch.document.amax(dim=1)


def _read(path: Path, key: str | None) -> Tensor:
    if path.suffix == ".safetensors":
        return _read_safetensors(path, key)
    if path.suffix != ".npy":
        raise SourceError(f"{path} is neither .npy nor .safetensors: save the activations as one of these")
    require(key is None, "key", key, "None for a .npy file, which holds one array")
    try:
        # Copy-on-write, because torch warns about memory it could not write to.
        return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
    except (OSError, ValueError, TypeError) as error:
        raise SourceError(f"could not read {path} as a .npy file of numbers: {error}") from error


def _read_safetensors(path: Path, key: str | None) -> Tensor:
    try:
        tensors = map_tensors(path)
    except StoreError as error:
        raise SourceError(str(error)) from error
    if key is None and len(tensors) == 1:
        return next(iter(tensors.values()))
    if key not in tensors:
        hint = "name one with key=..." if key is None else f"there is no {key!r}{nearest(key, tensors)}"
        raise SourceError(f"{path} holds the tensors {sorted(tensors)}: {hint}")
    return tensors[key]
