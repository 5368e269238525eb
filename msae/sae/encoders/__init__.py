"""Encoders: how pre-activations come about. To add one: a class in a file here, and its entry in `ENCODERS`."""

from __future__ import annotations

from msae.sae.encoders.encoder import Encoder
from msae.sae.encoders.linear import Linear

ENCODERS: dict[str, type[Encoder]] = {cls.__name__: cls for cls in (Linear,)}

__all__ = ["ENCODERS", "Encoder", "Linear"]
