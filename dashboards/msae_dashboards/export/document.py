"""One file of an export: a page's tree inside the frame that all files share."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from urllib.parse import parse_qsl

from dash.development.base_component import Component

from msae_dashboards.address import Address
from msae_dashboards.export.shared import Shared
from msae_dashboards.to_html import Link, to_html

INDEX = "features"
PAGE = Template((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))


def file_of(address: Address) -> str:
    """Where an address lies in an export: ``index.html``, ``tree.html``, ``feature/12.html``, ``tree/root-3.html``."""
    parts = [] if address.latent is None else [str(address.latent)]
    parts += [f"{key}-{value}" for key, value in sorted(address.query.items()) if value]
    return f"{address.page or 'index'}{'/' if parts else ''}{'-'.join(parts)}.html"


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the files of an export have in common.

    `run`: what the run is called. `files`: where each exported address lies. `bar`: title and address of the pages in
    the bar. `said`: what is exported, in a sentence.
    """

    run: str
    files: Mapping[str, str]
    bar: tuple[tuple[str, str], ...]
    said: str

    def link_from(self, at: str) -> Link:
        """The way from the file `at` to an app's address, None when it is not exported. The index of features finds
        its own way in a query."""

        def link(href: str) -> str | None:
            path, mark, query = href.partition("?")
            if path == f"/{INDEX}":
                return f"{_root(at)}{INDEX}.html{mark}{query}"
            found = self.files.get(href) or self._of_the_same_latent(path, query)
            return None if found is None else _root(at) + found

        return link

    def _of_the_same_latent(self, path: str, query: str) -> str | None:
        """For a page about a latent: where it lies in an exported state that says less (no order, no level)."""
        if "/" not in path.strip("/"):
            return None
        asked = set(parse_qsl(query))
        candidates = ((set(parse_qsl(known)), file) for known, file in self._by_path.get(path, ()))
        fitting = [(len(state), file) for state, file in candidates if state <= asked]
        return max(fitting)[1] if fitting else None

    @cached_property
    def _by_path(self) -> Mapping[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for href, file in self.files.items():
            path, _, query = href.partition("?")
            found.setdefault(path, []).append((query, file))
        return found

    def document(self, body: Component, title: str, at: str, shared: Shared) -> str:
        """The HTML of the file `at`."""
        inner = to_html(body, self.link_from(at), shared.compact)
        root = _root(at)
        return PAGE.substitute(
            root=root,
            title=html.escape(title),
            run=html.escape(self.run),
            links="".join(_bar_link(name, root + self.files[href], self.files[href] == at) for name, href in self.bar),
            body=inner,
            said=html.escape(self.said),
            plotly=f'<script src="{root}assets/plotly.js" defer></script>' if 'class="plot"' in inner else "",
        )


def _root(at: str) -> str:
    return "../" * at.count("/")


def _bar_link(title: str, href: str, here: bool) -> str:
    current = ' aria-current="page"' if here else ""
    return f'<a class="nav-link" href="{html.escape(href)}"{current}>{html.escape(title)}</a>'
