"""What one latent does: how often, on which tokens, towards which predictions."""

from msae.analysis.features.collection import CollectSettings, collect
from msae.analysis.features.examples import ExampleSettings

__all__ = ["CollectSettings", "ExampleSettings", "collect"]
