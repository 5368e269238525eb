"""Serving the app: on this machine alone unless told otherwise."""

from __future__ import annotations

import logging
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from flask import abort, request
from werkzeug.serving import BaseWSGIServer, make_server

from msae.core.config import require
from msae.core.errors import ConfigError
from msae_dashboards.app import create_app

LOCAL = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORT = 8050
TRIED = 20


def make_local_server(
    run: str | Path,
    *,
    port: int | None = None,
    host: str = LOCAL[0],
    model: str | None = None,
    framing: str = "'self'",
) -> BaseWSGIServer:
    """A server of the run's pages, bound and not yet serving. `port` 0 takes a free one, None the first from 8050 on.

    Bound to this machine alone it answers only requests addressed to it by a local name, so that no web site can read
    it through a name of its own. `model`, `framing`: as of `create_app`. Raises `ConfigError` when the port is taken or
    the host is none of this machine's.
    """
    require(port is None or 0 <= port < 1 << 16, "port", port, "0 to 65535")
    app = create_app(run, model=model, framing=framing)
    if host in LOCAL:

        @app.server.before_request
        def addressed_locally() -> None:
            name = request.host.rsplit(":", 1)[0].strip("[]") if not request.host.endswith("]") else request.host[1:-1]
            if name not in LOCAL:
                abort(403)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    ports = range(DEFAULT_PORT, DEFAULT_PORT + TRIED) if port is None else (port,)
    for candidate in ports:
        try:
            return make_server(host, candidate, app.server, threaded=True)
        except (OSError, SystemExit) as error:
            why = error
    raise ConfigError(f"cannot serve on {host}:{ports[0]} ({why}): give another --port (or --host)")


def serve(
    run: str | Path,
    *,
    port: int | None = None,
    host: str = LOCAL[0],
    model: str | None = None,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted."""
    server = make_local_server(run, port=port, host=host, model=model)
    url = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{server.server_port}/"
    if host not in LOCAL:
        say(
            f"Warning: {host} may be reachable from other machines. There is no password: whoever reaches it can "
            "read this run."
        )
    say(f"{run} is at {url}  (Ctrl-C ends it)")
    if browser:
        threading.Timer(0.3, webbrowser.open, (url,)).start()
    try:
        server.serve_forever()
    finally:
        server.server_close()
