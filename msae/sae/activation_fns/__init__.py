"""Activation functions: which pre-activations become codes. Each owns all its behaviour, in one file.

To add one: a class in a file here, and its entry in `ACTIVATION_FNS`. Kernels, saved files, truncation, analysis and
the command line follow from what the class declares; `docs/extending/activation_fns.md` shows how.
"""

from __future__ import annotations

from msae.sae.activation_fns.activation_fn import ActivationFunction
from msae.sae.activation_fns.batch_topk import BatchTopK
from msae.sae.activation_fns.grouped_topk import GroupedTopK
from msae.sae.activation_fns.jumprelu import JumpReLU
from msae.sae.activation_fns.relu import ReLU
from msae.sae.activation_fns.topk import TopK

ACTIVATION_FNS: dict[str, type[ActivationFunction]] = {
    cls.__name__: cls for cls in (BatchTopK, TopK, GroupedTopK, JumpReLU, ReLU)
}

__all__ = ["ACTIVATION_FNS", "ActivationFunction", "BatchTopK", "GroupedTopK", "JumpReLU", "ReLU", "TopK"]
