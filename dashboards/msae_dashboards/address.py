"""What a URL says, and the URLs of pages. The one place where either is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

LONGEST_NUMBER = 9


@dataclass(frozen=True, kw_only=True)
class Address:
    """``/page/latent?query``. `page` is empty for the first page; `latent` is None unless the URL names one."""

    page: str = ""
    latent: int | None = None
    query: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, pathname: str | None, search: str | None) -> Address | None:
        """The address, or None when no page can have it. What it names need not exist."""
        page, *rest = (pathname or "/").strip("/").split("/")
        query = dict(parse_qsl((search or "").removeprefix("?")))
        if not rest:
            return cls(page=page, query=query)
        latent = whole_number(rest[0])
        return None if latent is None or len(rest) > 1 else cls(page=page, latent=latent, query=query)

    @property
    def href(self) -> str:
        """The URL; parameters with empty values are left out."""
        path = "/" + "/".join([self.page] if self.latent is None else [self.page, str(self.latent)])
        search = urlencode({key: value for key, value in self.query.items() if value != ""})
        return f"{path}?{search}" if search else path

    def number(self, key: str) -> float | None:
        """A parameter as a finite number; None when it is absent or none."""
        try:
            value = float(self.query.get(key, ""))
        except ValueError:
            return None
        return value if abs(value) < float("inf") else None

    def whole(self, key: str) -> int | None:
        """A parameter as a whole number; None when it is absent or none."""
        return whole_number(self.query.get(key, ""))

    def numbers(self, key: str) -> tuple[int, ...]:
        """A parameter as whole numbers, as in ``level=0,2``; what is none is left out."""
        parts = (whole_number(part) for part in self.query.get(key, "").split(","))
        return tuple(part for part in parts if part is not None)


def whole_number(text: str) -> int | None:
    """`text` as a whole number from 0 on; None when it is none, or has more than nine digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER else None


def feature_href(latent: int, **query: str) -> str:
    """The URL of a latent's page."""
    return Address(page="feature", latent=latent, query=query).href


def random_href(**query: str) -> str:
    """The URL that leads to some latent's page, of those a query lets through: ``draw``, from 0 to 1, says which."""
    return Address(page="feature/random", query=query).href


def features_href(**query: str) -> str:
    """The URL of the feature browser in a state."""
    return Address(page="features", query=query).href


def prompt_href(**query: str) -> str:
    """The URL of the live prompt in a state."""
    return Address(page="prompt", query=query).href


def tree_href(latent: int | None = None, **query: str) -> str:
    """The URL of the tree, or of a latent's branch."""
    return Address(page="tree", latent=latent, query=query).href


def splitting_href(parent: int | None = None, **query: str) -> str:
    """The URL of the splitting page, or of how a parent splits."""
    return Address(page="splitting", latent=parent, query=query).href


def absorption_href(parent: int | None = None, child: int | None = None, **query: str) -> str:
    """The URL of the absorption page, or of a parent that a child may have absorbed."""
    pair = {} if child is None else {"child": str(child)}
    return Address(page="absorption", latent=parent, query={**pair, **query}).href


def compare_href(**query: str) -> str:
    """The URL of the comparison page in a state."""
    return Address(page="compare", query=query).href
