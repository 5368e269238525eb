"""How near two directions of a dictionary are by chance."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from msae.core.rng import numpy_stream

NULL_PAIRS = 1 << 18


def cosine_null(directions: Float[Tensor, "d_sae d_in"], quantile: float, *, seed: int = 0) -> float:
    """The quantile of cosines between directions whose coordinates along the principal axes are dealt out anew, each
    among all latents: as spread out as the dictionary is, and otherwise unrelated."""
    generator = numpy_stream(seed, "analysis/cosine-null")
    axes = torch.linalg.eigh(directions.T.double() @ directions.double()).eigenvectors
    dealt = (directions.double() @ axes).numpy()
    for axis in range(dealt.shape[1]):
        dealt[:, axis] = generator.permutation(dealt[:, axis])
    dealt /= np.maximum(np.linalg.norm(dealt, axis=1, keepdims=True), 1e-12)
    n = len(dealt)
    if n < 2:
        return 1.0
    a = generator.integers(n, size=NULL_PAIRS)
    b = (a + generator.integers(1, n, size=NULL_PAIRS)) % n
    chunks = [slice(i, i + (1 << 14)) for i in range(0, NULL_PAIRS, 1 << 14)]
    cosines = np.concatenate([np.einsum("ij,ij->i", dealt[a[part]], dealt[b[part]]) for part in chunks])
    return float(np.quantile(cosines, quantile))
