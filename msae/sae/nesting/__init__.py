"""Nestings: which prefixes of the dictionary must reconstruct on their own.

To add one: a class in a file here, and its entry in `NESTINGS`.
"""

from __future__ import annotations

from msae.sae.nesting.fixed import FixedPrefixes
from msae.sae.nesting.sampled import SampledPrefixes
from msae.sae.nesting.scheme import Nesting
from msae.sae.nesting.unnested import Unnested

NESTINGS: dict[str, type[Nesting]] = {cls.__name__: cls for cls in (Unnested, FixedPrefixes, SampledPrefixes)}

__all__ = ["NESTINGS", "FixedPrefixes", "Nesting", "SampledPrefixes", "Unnested"]
