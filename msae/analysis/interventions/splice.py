"""An SAE spliced into a model: at its hook, the model continues with a level's reconstruction of the activations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from msae.activations.source import ActivationSource, ContextBatch, PatchableSource, Replacement
from msae.analysis.interventions.patching import in_turn, put_rows, recorded
from msae.analysis.sample.pairing import evaluating, require_patchable, shared_hook
from msae.core.checked import checked
from msae.core.spec import SourceSpec
from msae.data.documents import Document
from msae.sae.autoencoder import SparseAutoencoder
from msae.sae.codes import SparseCodes

Edit = Callable[[SparseCodes], SparseCodes]


@runtime_checkable
class ReplacingSource(PatchableSource, Protocol):
    """A source that can also keep replacements in place while its model is called by anyone."""

    def replacing(
        self, replace: Mapping[str, Replacement], keep: Bool[Tensor, "batch context"] | None = None
    ) -> contextlib.AbstractContextManager[None]:
        """Inside the block every pass of the model is patched; without `keep`, everywhere but at special tokens."""
        ...


@checked
@contextlib.contextmanager
def splice(
    source: ActivationSource,
    sae: SparseAutoencoder,
    *,
    level: int | None = None,
    error_term: bool = False,
    edit: Edit | None = None,
    hook_name: str | None = None,
    force: bool = False,
) -> Iterator[SplicedSource]:
    """Inside the block, the source's model runs with `sae` in place at its hook; yields it as a source of its own.

    ``with msae.splice(source, sae, level=1) as spliced: spliced.logits(batch)``. Where the source can hold hooks in
    place (a `TransformerLensSource`), calls of ``source.model(...)`` inside the block are spliced as well.
    `level`: the prefix that reconstructs (None: all latents). `edit` changes the codes before they are decoded.
    `error_term` adds what the unedited codes leave unexplained, with no gradient: without an `edit` the activations
    are then unchanged in value. Special positions keep their activations. Everything is restored when the block ends.

    Raises `MismatchError` when the SAE was trained on another source (with `force`, warns), `ConfigError` for a level
    or hook that does not exist, `SourceError` for a source of activations alone.
    """
    patchable = require_patchable(source)
    sae.width(level)
    hook = shared_hook(sae, source, hook_name, force=force)
    spliced = SplicedSource(patchable, hook, _reconstructed(sae, level, error_term, edit))
    with evaluating(sae):
        if isinstance(source, ReplacingSource):
            with source.replacing({hook: spliced.unless_replaced_already}):
                yield spliced
        else:
            yield spliced


class SplicedSource:
    """A source whose model runs with activations replaced at one hook. Made by `splice`."""

    def __init__(self, source: PatchableSource, hook_name: str, replacement: Replacement) -> None:
        self.source = source
        self.hook_name = hook_name
        self._replacement = replacement
        self._replaces_explicitly = False

    @property
    def specs(self) -> Mapping[str, SourceSpec]:
        """The specs of the source."""
        return self.source.specs

    @property
    def has_language_head(self) -> bool:
        """Whether the logits mean something."""
        return self.source.has_language_head

    def contexts(self, documents: Iterable[Document]) -> Iterator[ContextBatch]:
        """The contexts of the source."""
        return self.source.contexts(documents)

    @torch.no_grad()
    def activations(self, batch: ContextBatch) -> dict[str, Float[Tensor, "batch context d_in"]]:
        """Every hook's activations in the spliced model; at the spliced hook, what the model continues with."""
        return recorded(self, batch, tuple(self.specs))[1]

    def logits(
        self, batch: ContextBatch, replace: Mapping[str, Replacement] | None = None
    ) -> Float[Tensor, "batch context vocab"]:
        """The spliced model's logits. Replacements at the same hook get, and change, the reconstruction."""
        replace = dict(replace or {})
        replace[self.hook_name] = in_turn(self._replacement, replace.get(self.hook_name))
        self._replaces_explicitly = True
        try:
            return self.source.logits(batch, replace)
        finally:
            self._replaces_explicitly = False

    def unless_replaced_already(
        self, activations: Float[Tensor, "batch context d_in"], keep: Bool[Tensor, "batch context"]
    ) -> Float[Tensor, "batch context d_in"]:
        """The replacement for passes of the model that do not come from `logits`, which replaces by itself."""
        return activations if self._replaces_explicitly else self._replacement(activations, keep)


def _reconstructed(sae: SparseAutoencoder, level: int | None, error_term: bool, edit: Edit | None) -> Replacement:
    def replacement(
        activations: Float[Tensor, "batch context d_in"], keep: Bool[Tensor, "batch context"]
    ) -> Float[Tensor, "batch context d_in"]:
        x = activations[keep].to(sae.device, sae.dtype)
        if x.shape[0] == 0:
            return activations
        codes = sae.encode(x)
        out = sae.decode(edit(codes) if edit else codes, level)
        if error_term:
            out = out + (x - sae.decode(codes, level)).detach()
        return put_rows(out)(activations, keep)

    return replacement
