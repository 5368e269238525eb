"""An SAE and the source it is measured on: which hook, whether they belong together, and in which mode."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from msae.activations.source import ActivationSource, PatchableSource
from msae.core.config import nearest
from msae.core.errors import ConfigError, MismatchError, SourceError
from msae.core.spec import require_same_source
from msae.sae.autoencoder import SparseAutoencoder


def shared_hook(
    sae: SparseAutoencoder, source: ActivationSource, hook_name: str | None = None, *, force: bool = False
) -> str:
    """The hook of `source` that `sae` belongs to: the one named, the one it was trained on, or the only one there is.

    Raises `ConfigError` when that leaves no choice, `MismatchError` when the SAE was trained on another source.
    """
    hooks = list(source.specs)
    trained_on = sae.source.hook_name if sae.source else None
    name = hook_name or (trained_on if trained_on in hooks else None) or (hooks[0] if len(hooks) == 1 else None)
    if name not in hooks:
        problem = f"there is no hook {name!r}{nearest(name, hooks)}" if name else "hook_name is needed"
        raise ConfigError(f"{problem}; the source has {hooks}")
    spec = source.specs[name]
    if spec.d_in != sae.d_in:
        raise MismatchError(f"the SAE reads d_in = {sae.d_in} numbers, {name} of {spec.model} has {spec.d_in}")
    if sae.source is not None:
        require_same_source(sae.source, spec, what="the SAE and the source", force=force)
    return name


def require_patchable(source: ActivationSource) -> PatchableSource:
    """`source`, if its model continues from the hook to logits; `SourceError` otherwise."""
    if not isinstance(source, PatchableSource):
        raise SourceError(f"{type(source).__name__} gives activations alone: there is no model to run on from its hook")
    return source


@contextlib.contextmanager
def evaluating(sae: SparseAutoencoder) -> Iterator[None]:
    """The SAE in `eval()` mode inside the block, and as it was afterwards."""
    was_training = sae.training
    sae.eval()
    try:
        yield
    finally:
        sae.train(was_training)
