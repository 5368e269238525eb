"""`Filter`: which latents, in which order; as a URL says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msae_dashboards.address import Address

KEYS = ("q", "level", "alive", "token", "density_min", "density_max", "max_min", "max_max", "sort", "order")
"""What a URL says it with."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which latents to show. Bounds are inclusive; None and empty let everything through.

    `query`: words that must all be found in a latent's top tokens or explanation, whatever their case. `token`: the
    same in its first token alone. `sort`: a name of `SORTABLE`; empty sorts by how much of the activation the words
    make up, or by number.
    """

    query: str = ""
    token: str = ""
    levels: tuple[int, ...] = ()
    alive: bool | None = None
    density: tuple[float | None, float | None] = (None, None)
    max: tuple[float | None, float | None] = (None, None)
    sort: str = ""
    descending: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filter:
        """From the keys of a URL; what it does not understand lets everything through."""
        address = Address(page="features", query=query)
        return cls(
            query=query.get("q", ""),
            token=query.get("token", ""),
            levels=address.numbers("level"),
            alive={"alive": True, "dead": False}.get(query.get("alive", "")),
            density=(_percent(address.number("density_min")), _percent(address.number("density_max"))),
            max=(address.number("max_min"), address.number("max_max")),
            sort=query.get("sort", ""),
            descending=query.get("order") == "desc",
        )


def filter_keys(query: Mapping[str, str]) -> dict[str, str]:
    """The part of a query that a filter is made from."""
    return {key: query[key] for key in KEYS if query.get(key)}


def _percent(value: float | None) -> float | None:
    return None if value is None else value / 100
