"""`SourceSpec`: what produced a set of activations, so that an SAE is never paired with another model's."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from msae.core.checked import checked
from msae.core.config import require
from msae.core.errors import MismatchError

IDENTITY_FIELDS = (
    "kind",
    "hook_name",
    "weight_processing",
    "dtype",
    "prepend_bos",
    "bos_between_documents",
    "context_size",
    "pooling",
    "d_in",
)

FINGERPRINT = "sha256:"
"""What a revision that is a fingerprint begins with."""


WITHOUT_SINKS = "left out, and so are sinks"
"""`SourceSpec.special_rows` where rows of huge norm (`msae.core.sinks`) were left out by choice."""


@checked
@dataclass(frozen=True, kw_only=True)
class SourceSpec:
    """Where activations come from. Everything that changes their values is a field.

    `kind`: ``transformer_lens``, ``pooled``, ``module``, ``array`` or ``synthetic``.
    `model`: the hub name, or the folder's own name for a local model.
    `revision`: the hub revision, or a fingerprint of what lies in a local folder; empty when there is none.
    `weights`, `tokenizer`: fingerprints of a language model's weights and architecture, and of its tokenizer.
    `hook_name`: as resolved by the model (an alias such as ``hook_resid_post`` is stored as what it stands for).
    `legacy_hook_name`: what TransformerLens 3 calls that place (`msae.core.hook_names`), for SAELens; not part of its
    identity; empty where it has no other name there, or that is not known.
    `weight_processing`: ``raw`` (the checkpoint's own weights) or ``compatibility`` (LayerNorm folded and so on).
    `dtype`: the dtype the model ran in. `context_size`: tokens a context, special tokens included; 0: none.
    `prepend_bos`: whether a context opens with BOS (or [CLS]). `bos_between_documents`: whether BOS also separates the
    documents inside a context.
    `special_rows`: what became of rows at BOS, padding and other special tokens: ``left out`` in stores made here, or
    `WITHOUT_SINKS`. No part of the identity: a model gives the same rows either way.
    `pooling`: how the rows of a document became one (`msae.activations.pooled`); empty: they did not.
    `d_in`: numbers a row. `model_path`: where the model was opened from (not part of its identity).
    """

    kind: str
    model: str
    hook_name: str
    d_in: int
    revision: str = ""
    weights: str = ""
    tokenizer: str = ""
    weight_processing: str = "raw"
    dtype: str = "float32"
    prepend_bos: bool = False
    bos_between_documents: bool = False
    context_size: int = 0
    special_rows: str = "left out"
    pooling: str = ""
    model_path: str = ""
    legacy_hook_name: str = ""

    def __post_init__(self) -> None:
        require(self.d_in > 0, "d_in", self.d_in, "a positive number of dimensions")
        require(self.context_size >= 0, "context_size", self.context_size, "0 (no contexts) or more")

    def differences(self, other: SourceSpec) -> list[str]:
        """The identity fields in which two specs differ, each as ``field: mine != theirs``.

        Content is compared where both know it: weights, or else a fingerprint that stands as the revision. What the
        model is called then plays no part. A tokenizer is compared where both know theirs.
        """
        names = [*self._known_by(other), *IDENTITY_FIELDS]
        pairs = ((name, getattr(self, name), getattr(other, name)) for name in names)
        return [f"{name}: {mine!r} != {theirs!r}" for name, mine, theirs in pairs if mine != theirs]

    def _known_by(self, other: SourceSpec) -> list[str]:
        tokenizer = ["tokenizer"] if self.tokenizer and other.tokenizer else []
        if self.weights and other.weights:
            return ["weights", *tokenizer]
        by_content = all(spec.revision.startswith(FINGERPRINT) for spec in (self, other))
        return [*([] if by_content else ["model"]), "revision", *tokenizer]


def require_same_source(mine: SourceSpec, theirs: SourceSpec, *, what: str, force: bool = False) -> None:
    """Raise `MismatchError` naming every field that differs; with `force`, warn instead.

    `what` says who is being paired, as in ``"the SAE in runs/a and the store acts/b"``.
    """
    differences = mine.differences(theirs)
    if not differences:
        return
    message = f"{what} come from different sources ({'; '.join(differences)})"
    if not force:
        raise MismatchError(f"{message}. Use the store or model it was made with, or force=True if you mean it.")
    warnings.warn(f"{message}; going on because force=True", stacklevel=2)
