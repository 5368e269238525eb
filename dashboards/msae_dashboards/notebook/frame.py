"""`embed`: the whole app in a frame, served by a thread of the notebook's kernel, which it ends with."""

from __future__ import annotations

import threading
from pathlib import Path

from msae.runs.record import RunRecord
from msae_dashboards.address import Address
from msae_dashboards.app.server import LOCAL, make_local_server
from msae_dashboards.view.html import framed

FRAMING = "'self' http://localhost:* http://127.0.0.1:* https://localhost:* https://127.0.0.1:* vscode-webview:"
"""Who may show the app in a frame: notebooks of this machine."""


class Embedded:
    """The app of a run, served on 127.0.0.1 on a port of its own until `close`, or until the kernel ends.

    `url`: where it is. It shows where the notebook's browser is on the machine of its kernel.
    """

    def __init__(self, run: str | Path, *, model: str | None, page: str, height: int) -> None:
        self._server = make_local_server(run, port=0, model=model, framing=FRAMING)
        self._height = height
        self.url = f"http://{LOCAL}:{self._server.server_port}{page}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="msae-embedded", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _repr_html_(self) -> str:
        return framed("msae dashboard", self._height, url=self.url)

    def __repr__(self) -> str:
        return f"Embedded({self.url!r})"


def embed(
    run: str | Path | RunRecord, latent: int | None = None, *, model: str | None = None, height: int = 860
) -> Embedded:
    """The app of `run` (a run or its folder) in a notebook's cell, at its overview or at the page of `latent`.

    `model`: where the run's language model is, if it has moved (the live prompt alone needs it). `height`: of the
    frame, in pixels. Raises `CheckpointError` when there is no run.
    """
    page = Address() if latent is None else Address(page="feature", latent=latent)
    return Embedded(run.path if isinstance(run, RunRecord) else run, model=model, page=page.href, height=height)
