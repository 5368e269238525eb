"""What all else is made of: entries of a dense product, weighted sums of gathered rows, sorting and top-k by row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from msae.sae.activation_fns.selection import largest_per_row
from msae.sae.kernels.scan import has_numba

GATHER_CHUNK = 1 << 15

with warnings.catch_warnings():
    # torch says once a process that CSR tensors are in beta, and some releases that they are not checked; only
    # sampled_addmm is used, which the tests pin down.
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 1], [0], [0.0], (1, 1), check_invariants=False)


def sampled_product(
    A: Float[Tensor, "m d"], B: Float[Tensor, "n d"], row: Int[Tensor, " entries"], column: Int[Tensor, " entries"]
) -> Float[Tensor, " entries"]:
    """⟨A[row], B[column]⟩ for each entry; `row` must be sorted."""
    if on_compiled_path(A):
        from msae.sae.kernels.compiled import dots

        out = A.new_empty(len(row))
        dots(*(tensor.detach().contiguous().numpy() for tensor in (A, B, row, column)), out.numpy())
        return out
    native = A.is_cuda or (A.device.type == "cpu" and torch.backends.mkl.is_available())
    if native and A.dtype in (torch.float32, torch.float64):
        pattern = torch.sparse_csr_tensor(
            row_offsets(row, A.shape[0]),
            column,
            A.new_zeros(len(row)),
            (A.shape[0], B.shape[0]),
            check_invariants=False,
        )
        return torch.sparse.sampled_addmm(pattern, A, B.T, beta=0.0).values()
    chunks = zip(row.split(GATHER_CHUNK), column.split(GATHER_CHUNK), strict=True)
    return torch.cat([torch.linalg.vecdot(A[rows], B[columns]) for rows, columns in chunks])


def gathered_sums(
    source: Float[Tensor, "m d"],
    index: Int[Tensor, " entries"],
    weight: Float[Tensor, " entries"],
    offsets: Int[Tensor, " bags_and_end"],
) -> Float[Tensor, "bags d"]:
    """Σ weight · source[index] over each run of entries between two neighbours in `offsets`."""
    return nn.functional.embedding_bag(
        index, source, offsets, mode="sum", per_sample_weights=weight, include_last_offset=True
    )


def row_offsets(row: Int[Tensor, " entries"], n_rows: int) -> Int[Tensor, " rows_and_end"]:
    """Where each row's run begins in the sorted `row`, and where the last one ends."""
    return torch.searchsorted(row, torch.arange(n_rows + 1, device=row.device))


def stable_order(key: Int[Tensor, " n"], n_keys: int) -> tuple[Int[Tensor, " n"], Int[Tensor, " keys"]]:
    """The stable order of `key` (whole numbers below `n_keys`), and where each key's run ends in it."""
    ends = torch.bincount(key, minlength=n_keys)
    if key.device.type == "cpu" and has_numba():
        from msae.sae.kernels.compiled import count_order

        order = torch.empty_like(key)
        count_order(key.numpy(), ends.numpy(), order.numpy())
        return order, ends
    return torch.argsort(key, stable=True), ends.cumsum(0)


def sorted_order(key: Int[Tensor, " n"], n_keys: int) -> tuple[Int[Tensor, " n"], Int[Tensor, " keys"]]:
    """`stable_order` without a histogram, for which the host would wait for a GPU."""
    by_key, order = torch.sort(key, stable=True)
    return order, torch.searchsorted(by_key, torch.arange(n_keys, device=key.device), right=True)


def on_device(values: Sequence[int | float], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """`values` where `like` lies (and in its dtype), without waiting for a GPU: a copy from ordinary memory would."""
    tensor = torch.tensor(values, dtype=dtype or like.dtype)
    return tensor.pin_memory().to(like.device, non_blocking=True) if like.is_cuda else tensor.to(like.device)


def keep_largest_per_row(values: Float[Tensor, "batch n"], count: int) -> Float[Tensor, "batch n"]:
    """Each row's `count` largest positive entries, of equal ones the first; zeros elsewhere. May overwrite `values`."""
    if on_compiled_path(values):
        from msae.sae.kernels.compiled import keep_largest

        keep_largest(values.numpy().view(np.int32), count)
        return values
    return torch.where(largest_per_row(values, count) & (values > 0), values, 0.0)


def on_compiled_path(tensor: Tensor) -> bool:
    """Whether loops compiled by numba can work on `tensor`."""
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and has_numba()
