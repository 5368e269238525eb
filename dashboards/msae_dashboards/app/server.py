"""Serving the app: on this machine alone unless told otherwise."""

from __future__ import annotations

import ipaddress
import logging
import threading
import webbrowser
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import urlsplit

from flask import abort, request
from werkzeug.serving import ThreadedWSGIServer

from msae.core.config import require
from msae.core.errors import ConfigError
from msae_dashboards.app.app import Dashboard, create_app

LOCAL = "127.0.0.1"
DEFAULT_PORT = 8050
TRIED = 20


class LocalServer(ThreadedWSGIServer):
    """The app, bound to a port; serving it and ending are `socketserver`'s."""

    dashboard: Dashboard | None = None

    def __init__(self, host: str, port: int, dashboard: Dashboard) -> None:
        super().__init__(host, port, dashboard.server)  # closes itself where the port is taken, not the app
        self.dashboard = dashboard

    def server_close(self) -> None:
        """Give the port up, and let the model finish what it has in hand."""
        super().server_close()
        if self.dashboard is not None:
            self.dashboard.close()


def make_local_server(
    run: str | Path,
    *,
    port: int | None = None,
    host: str = LOCAL,
    model: str | None = None,
    framing: str = "'self'",
    names: Collection[str] = (),
) -> LocalServer:
    """A server of the run's pages, bound and not yet serving. `port` 0 takes a free one, None the first from 8050 on.

    It answers only requests addressed to it by a name that no web site can have: `host`, an address in numbers,
    ``localhost``, or one of `names`. `model`, `framing`: as of `create_app`. Raises `ConfigError` when the port is
    taken or the host is none of this machine's.
    """
    require(port is None or 0 <= port < 1 << 16, "port", port, "0 to 65535")
    require(bool(host.strip()), "host", host, "a name or an address of this machine, such as 127.0.0.1 or 0.0.0.0")
    dashboard = create_app(run, model=model, framing=framing)

    @dashboard.server.before_request
    def addressed_by_name() -> None:
        if not is_named(request.host, host, *names):
            abort(403)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    ports = range(DEFAULT_PORT, DEFAULT_PORT + TRIED) if port is None else (port,)
    for candidate in ports:
        try:
            return LocalServer(host, candidate, dashboard)
        except (OSError, SystemExit) as error:
            why = error
    dashboard.close()
    raise ConfigError(f"cannot serve on {host}:{ports[0]} ({why}): give another --port (or --host)")


def is_named(addressed: str, *names: str) -> bool:
    """Whether a request's Host is one of `names`, or no name that a web site could have lead here."""
    try:
        name = (urlsplit(f"//{addressed}").hostname or "").lower()
    except ValueError:
        return False
    return name in {"localhost", *(known.lower() for known in names)} or _is_address(name)


def is_local(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def serve(
    run: str | Path,
    *,
    port: int | None = None,
    host: str = LOCAL,
    model: str | None = None,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted."""
    server = make_local_server(run, port=port, host=host, model=model)
    shown = LOCAL if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{server.server_port}/"
    if not is_local(host):
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
