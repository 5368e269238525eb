"""What a state of the live prompt names: a text, a token of it, a latent, and how to steer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msae_dashboards.address import Address
from msae_dashboards.data.feature_index import FeatureIndex

LENGTHS = ("20", "40", "80")
TEMPERATURES = {"0": "likeliest", "0.7": "drawn, cooler", "1": "drawn"}
WEAKEST, STRONGEST, STEP = -2.0, 4.0, 0.1


@dataclass(frozen=True, kw_only=True)
class PromptState:
    """`token`, `latent`: None leaves the choice to the page. `strength`: in multiples of the latent's largest
    activation."""

    text: str
    token: int | None
    latent: int | None
    levels: tuple[int, ...]
    strength: float
    n_tokens: int
    temperature: float

    @classmethod
    def of(cls, query: Mapping[str, str], features: FeatureIndex) -> PromptState:
        """From the keys of the URL; what it does not understand is left out."""
        address = Address(page="prompt", query=query)
        latent = address.whole("latent")
        kept = [level for level in address.numbers("level") if level < features.n_levels]
        return cls(
            text=address.query.get("text", ""),
            token=address.whole("token"),
            latent=latent if latent is not None and latent < len(features) else None,
            levels=tuple(sorted(set(kept))) or tuple(range(features.n_levels)),
            strength=min(max(address.number("strength") or 0.0, WEAKEST), STRONGEST),
            n_tokens=int(_one_of(LENGTHS, address.query.get("n"), "40")),
            temperature=float(_one_of(tuple(TEMPERATURES), address.query.get("temperature"), "0")),
        )


def _one_of(choices: Sequence[str], value: str | None, default: str) -> str:
    return value if value is not None and value in choices else default
