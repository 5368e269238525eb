"""The sparse autoencoder: activation function × nesting, its codes, losses, kernels and files."""

from msae.sae.activation_fns import ACTIVATION_FNS, ActivationFunction, BatchTopK, JumpReLU, ReLU, TopK
from msae.sae.autoencoder import LevelRecord, SparseAutoencoder
from msae.sae.checkpoint import load, save
from msae.sae.codes import SparseCodes
from msae.sae.nesting import NESTINGS, FixedPrefixes, Nesting, SampledPrefixes, Unnested

__all__ = [
    "ACTIVATION_FNS",
    "NESTINGS",
    "ActivationFunction",
    "BatchTopK",
    "FixedPrefixes",
    "JumpReLU",
    "LevelRecord",
    "Nesting",
    "ReLU",
    "SampledPrefixes",
    "SparseAutoencoder",
    "SparseCodes",
    "TopK",
    "Unnested",
    "load",
    "save",
]
