"""The app of one run: its pages as documents, what their scripts ask for, and the files they share.

A page is a whole document, as in an export, written by the one writer: a link is a link, the back button is the
browser's, and a page of a thousand tokens is there at once. The grid of the feature browser alone is a React component,
which Dash serves (`app/grid.py`); the live prompt asks for parts of its page as it goes (`app/prompt.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, Response, redirect, request
from markupsafe import Markup

from msae_dashboards.address import Address, feature_href
from msae_dashboards.app import grid, prompt
from msae_dashboards.app.files import Files
from msae_dashboards.app.relative import relative
from msae_dashboards.app.replies import compressed
from msae_dashboards.data.filter import Filter
from msae_dashboards.data.tables import RunTables
from msae_dashboards.live import LiveModel
from msae_dashboards.pages import FEATURES, PAGES, PROMPT, Page
from msae_dashboards.pages.page import not_found
from msae_dashboards.view.html import Frame, document, script, writer
from msae_dashboards.view.nodes import Body

ALIVE, NOTHING = "_alive", Markup("")
MOST_BYTES = 1 << 20
"""What a request may bring along."""
POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
    ]
)
"""Sent with every answer: the browser itself refuses a request to another machine."""


@dataclass(frozen=True)
class Dashboard:
    """The app (`server` is its WSGI application) and the model behind its live prompt."""

    server: Flask
    live: LiveModel

    def close(self) -> None:
        """Let the model finish what it has in hand."""
        self.live.close()


def create_app(
    run: str | Path, pages: Sequence[Page] = PAGES, *, model: str | None = None, framing: str = "'self'"
) -> Dashboard:
    """The app; serve it with `msae_dashboards.app.server`. `model`: where the run's language model is, if it has moved.
    `framing`: whose pages may show it in a frame (sources of the policy's ``frame-ancestors``). `CheckpointError` when
    there is no run at `run`."""
    tables = RunTables(run, model=model)
    server = Flask(__name__, static_folder=None)
    server.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    files, live = Files(), LiveModel(tables.run.path, model)
    site = Site(tables, pages, files)

    @server.get("/")
    @server.get("/<path:path>")
    def page(path: str = "") -> Response:
        return site.answer(f"/{path}", request.query_string.decode("utf-8", "replace"))

    @server.get("/feature/random")
    def random() -> Response:
        return site.random(request.args.to_dict())

    @server.get("/assets/<name>")
    def file(name: str) -> Response:
        return files.answer(name)

    @server.get(f"/{ALIVE}")
    def alive() -> Response:
        return Response("here", mimetype="text/plain")

    grid.connect(server, tables, site)
    prompt.connect(server, tables, live)

    @server.after_request
    def finished(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = f"{POLICY}; frame-ancestors {framing}"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return compressed(response, request.headers.get("Accept-Encoding", ""))

    return Dashboard(server, live)


class Site:
    """The pages of a run, as answers to requests for their addresses."""

    def __init__(self, tables: RunTables, pages: Sequence[Page], files: Files) -> None:
        self._tables, self._files = tables, files
        self._listed = [page for page in pages if page.listed]
        self._named = {page.name: page for page in pages}

    def answer(self, path: str, query: str) -> Response:
        """The page at a path; whatever goes wrong is shown there, and the other pages go on."""
        if path != "/" and path.endswith("/"):
            # Addresses in a page are relative to it: one more slash and they would lead elsewhere.
            return redirect("../" + path.rstrip("/").rpartition("/")[2] + (f"?{query}" if query else ""), 308)  # type: ignore[return-value]
        address = Address.parse(path, query)
        page = self._named.get(address.page) if address is not None else None
        if address is None or page is None:
            return self._document(path, not_found("There is no page at this address."), 404, None)
        if page is FEATURES and address.latent is None:
            return grid.page(self, self._tables, address)
        return self._document(path, *page.render(self._tables, address), page)

    def random(self, query: dict[str, str]) -> Response:
        """On to the latent that `draw`, from 0 to 1, says: of those that a filter lets through."""
        features = self._tables.features()
        found = features.walk(Filter.of(query))
        address = Address(page="feature/random", query=query)
        draw = min(max(address.number("draw") or 0.0, 0.0), 1.0)
        if len(found) == 0:
            return self._document("/feature/random", not_found("No latent that fires is among these."), 404, None)
        kept = {key: value for key, value in query.items() if key != "draw"}
        latent = int(found[min(int(draw * len(found)), len(found) - 1)])
        return redirect("." + feature_href(latent, **kept).removeprefix("/feature"))  # type: ignore[return-value]

    def document(
        self, path: str, body: Body, page: Page | None, *, config: Markup = NOTHING, end: Markup = NOTHING
    ) -> str:
        """A page with everything around it. Of a page with a grid: Dash's `config`, and what it puts at the `end`."""
        root = "../" * (path.count("/") - 1)
        write = writer(lambda href: relative(root, href))
        inner = write(body)
        scripts = ["msae.js", *(["prompt.js"] if page is PROMPT else [])]
        if end:
            end = config + script(root + self._files.reference("grid.js")) + end
        frame = Frame(
            run=self._tables.title,
            root=root,
            bar=[(listed.title, relative(root, listed.href), listed is page) for listed in self._listed],
            styles=[root + self._files.reference("msae.css")],
            scripts=[root + self._files.reference(name) for name in scripts],
            plotly=self._files.reference("plotly.js"),
            alive=root + ALIVE,
        )
        return document(frame, body.full_title, inner, end=end)

    def _document(self, path: str, body: Body, status: int, page: Page | None) -> Response:
        return Response(self.document(path, body, page), status, mimetype="text/html")
