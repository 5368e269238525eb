"""Opening a model again from the record a store or an SAE keeps of it."""

from __future__ import annotations

import torch

from msae.activations.model_files import local_folder
from msae.activations.pooled import Long, PooledSource
from msae.activations.transformer_lens import TransformerLensSource
from msae.core.checked import checked
from msae.core.errors import SourceError
from msae.core.spec import SourceSpec, require_same_source


@checked
def reopen(
    spec: SourceSpec,
    *,
    model: str | None = None,
    device: str | torch.device | None = None,
    batch_size: int = 32,
    force: bool = False,
) -> TransformerLensSource:
    """The source that `spec` records, opened from where it was, or from `model` if it has moved.

    Raises `SourceError` when the record is not of a language model or the model is not to be had, `MismatchError` when
    what was opened is not what is recorded (`force` warns instead).
    """
    if spec.kind != "transformer_lens":
        raise SourceError(
            f"these activations are of kind {spec.kind!r} ({spec.model}): there is no language model to open"
        )
    source = _opened(spec, model, device, batch_size)
    (opened,) = source.specs.values()
    require_same_source(spec, opened, what="the record and the model that was opened", force=force)
    return source


def reopen_pooled(
    spec: SourceSpec,
    *,
    model: str | None = None,
    device: str | torch.device | None = None,
    batch_size: int = 32,
    long: Long = "error",
    force: bool = False,
) -> PooledSource:
    """The pooled source that `spec` records, as `reopen` does: what turns a query into a row like the stored ones."""
    if spec.kind != "pooled":
        raise SourceError(
            f"these activations are of kind {spec.kind!r} ({spec.model}), not one row a document: harvest them with "
            "--pooling"
        )
    source = PooledSource(_opened(spec, model, device, batch_size), spec.pooling, long=long)  # type: ignore[arg-type]
    (opened,) = source.specs.values()
    require_same_source(spec, opened, what="the record and the model that was opened", force=force)
    return source


def _opened(
    spec: SourceSpec, model: str | None, device: str | torch.device | None, batch_size: int
) -> TransformerLensSource:
    where = model or spec.model_path or spec.model
    return TransformerLensSource(
        where,
        spec.hook_name,
        context_size=spec.context_size,
        batch_size=batch_size,
        prepend_bos=spec.prepend_bos,
        bos_between_documents=spec.bos_between_documents,
        dtype=spec.dtype,
        device=device,
        compatibility_mode=spec.weight_processing == "compatibility",
        revision=None if local_folder(where) else spec.revision or None,
    )
