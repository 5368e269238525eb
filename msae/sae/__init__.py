"""The sparse autoencoder: encoder × activation function × nesting, its codes, losses, kernels and files."""

from msae.sae.activation_fns import ACTIVATION_FNS, ActivationFunction, BatchTopK, JumpReLU, ReLU, TopK
from msae.sae.autoencoder import LevelRecord, SparseAutoencoder
from msae.sae.checkpoint import load, save
from msae.sae.codes import SparseCodes
from msae.sae.encoders import ENCODERS, Encoder, Linear
from msae.sae.nesting import NESTINGS, FixedPrefixes, Nesting, SampledPrefixes, Unnested
from msae.sae.warm_start import warm_start

__all__ = [
    "ACTIVATION_FNS",
    "ENCODERS",
    "NESTINGS",
    "ActivationFunction",
    "BatchTopK",
    "Encoder",
    "FixedPrefixes",
    "JumpReLU",
    "LevelRecord",
    "Linear",
    "Nesting",
    "ReLU",
    "SampledPrefixes",
    "SparseAutoencoder",
    "SparseCodes",
    "TopK",
    "Unnested",
    "load",
    "save",
    "warm_start",
]
