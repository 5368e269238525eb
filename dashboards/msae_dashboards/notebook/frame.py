"""`embed`: the whole app in a frame, served by a thread of the notebook's kernel, which it ends with."""

from __future__ import annotations

import threading
from pathlib import Path
from urllib.parse import urlsplit

from msae.core.config import require
from msae.runs.record import RunRecord
from msae_dashboards.address import Address
from msae_dashboards.app.server import LOCAL, make_local_server
from msae_dashboards.view.html import framed

FRAMING = "'self' http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:* vscode-webview:"
"""Who may show the app in a frame: notebooks of this machine."""
NOTHING_SHOWN = (
    "Nothing above? The app ends with its kernel: run this cell again. On another machine's notebook server give embed "
    "the address under which it passes ports on, as in proxy='https://hub.example.org/user/me/proxy/'."
)


class Embedded:
    """The app of a run, served on 127.0.0.1 on a port of its own until `close`, or until the kernel ends.

    `url`: where the notebook's browser finds it: on the machine of its kernel, or behind `proxy`.
    """

    def __init__(self, run: str | Path, *, model: str | None, page: str, height: int, proxy: str | None) -> None:
        names = () if proxy is None else (urlsplit(proxy).hostname or "",)
        self._server = make_local_server(run, port=0, model=model, framing=FRAMING, names=names)
        self._height = height
        home = f"http://{LOCAL}:{self._server.server_port}"
        if proxy is not None:
            home = f"{proxy.rstrip('/')}/{self._server.server_port}"
        self.url = home + page
        self._thread = threading.Thread(target=self._server.serve_forever, name="msae-embedded", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _repr_html_(self) -> str:
        return framed("msae dashboard", self._height, url=self.url, note=NOTHING_SHOWN)

    def __repr__(self) -> str:
        return f"Embedded({self.url!r})"


def embed(
    run: str | Path | RunRecord,
    latent: int | None = None,
    *,
    model: str | None = None,
    height: int = 860,
    proxy: str | None = None,
) -> Embedded:
    """The app of `run` (a run or its folder) in a notebook's cell, at its overview or at the page of `latent`.

    `model`: where the run's language model is, if it has moved (the live prompt alone needs it). `height`: of the
    frame, in pixels. `proxy`: where the notebook server passes requests on to ports of the kernel's machine
    (jupyter-server-proxy), for a browser on another machine. Raises `CheckpointError` when there is no run,
    `ConfigError` for a `proxy` that is no http address.
    """
    require(
        proxy is None or (urlsplit(proxy).scheme in ("http", "https") and bool(urlsplit(proxy).hostname)),
        "proxy",
        proxy,
        "an address such as https://hub.example.org/user/me/proxy/",
    )
    page = Address() if latent is None else Address(page="feature", latent=latent)
    folder = run.path if isinstance(run, RunRecord) else run
    return Embedded(folder, model=model, page=page.href, height=height, proxy=proxy)
