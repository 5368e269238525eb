"""Where an address of the app lies in an export, and the way there from another of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl

from msae_dashboards.address import Address
from msae_dashboards.view.html import Href

INDEX = "features"


def file_of(address: Address) -> str:
    """Where an address lies, a file for each: ``index.html``, ``tree.html``, ``feature/12.html``,
    ``tree/level-1.html``."""
    page, state = address.page or "index", state_of(address)
    return f"{page}/{state}.html" if state else f"{page}.html"


def place_of(address: Address) -> str:
    """Where an address lies, a file for each page: ``index.html``, ``feature.html#12``, ``tree.html#level-1``."""
    page, state = address.page or "index", state_of(address)
    return f"{page}.html#{state}" if state else f"{page}.html"


def state_of(address: Address) -> str:
    """What an address says beyond its page, as a name: ``12``, ``level-1``, ``3-child-9``; empty for its beginning."""
    parts = [] if address.latent is None else [str(address.latent)]
    parts += [f"{key}-{value}" for key, value in sorted(address.query.items()) if value]
    return "-".join(parts)


@dataclass(frozen=True, kw_only=True)
class Site:
    """`places`: where each exported address lies."""

    places: Mapping[str, str]

    def href_from(self, at: str) -> Href:
        """The way from the file `at` to an address of the app, None when it is not exported. The index of features
        finds its own way in a query."""
        root = root_of(at)

        def href(address: str) -> str | None:
            path, mark, query = address.partition("?")
            if path == f"/{INDEX}":
                return f"{root}{INDEX}.html{mark}{query}"
            found = self.places.get(address) or self._of_the_same_latent(path, query)
            return None if found is None else root + found

        return href

    def _of_the_same_latent(self, path: str, query: str) -> str | None:
        """For a page about a latent: where it lies in an exported state that says less (no order, no level)."""
        if "/" not in path.strip("/"):
            return None
        wanted = set(parse_qsl(query))
        candidates = ((set(parse_qsl(known)), place) for known, place in self._by_path.get(path, ()))
        fitting = [(len(state), place) for state, place in candidates if state <= wanted]
        return max(fitting)[1] if fitting else None

    @cached_property
    def _by_path(self) -> Mapping[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for address, place in self.places.items():
            path, _, query = address.partition("?")
            found.setdefault(path, []).append((query, place))
        return found


def root_of(at: str) -> str:
    """The way from a file to where the export begins."""
    return "../" * at.partition("#")[0].count("/")
