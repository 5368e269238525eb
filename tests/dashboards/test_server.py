"""What the server answers to whom: local names alone, and files named by code, never by a URL."""

from __future__ import annotations

import json
import mimetypes
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from msae.core.errors import ConfigError
from msae_dashboards import server
from msae_dashboards.address import Address
from msae_dashboards.app import create_app, render
from msae_dashboards.pages import PAGES
from msae_dashboards.tables import RunTables

OPENED: list[str] = []
_watching = threading.local()


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and getattr(_watching, "on", False) and isinstance(arguments[0], str | bytes):
        name = arguments[0]
        OPENED.append(name.decode(errors="replace") if isinstance(name, bytes) else name)


sys.addaudithook(_watch)  # it stays for good, so it does nothing unless asked to


@contextmanager
def opened() -> Iterator[list[str]]:
    """The paths that Python opens inside the block, in this thread."""
    OPENED.clear()
    _watching.on = True
    try:
        yield OPENED
    finally:
        _watching.on = False


@pytest.fixture(scope="module")
def app(demo_run):
    return create_app(demo_run.path)


@pytest.fixture(scope="module")
def client(app):
    client = app.server.test_client()
    assert ask(client, "/", "").status_code == 200  # Dash makes its index at the first request
    return client


def ask(client, pathname: str, search: str):
    """What the browser asks when the address changes."""
    inputs = [
        {"id": "url", "property": "pathname", "value": pathname},
        {"id": "url", "property": "search", "value": search},
    ]
    body = {
        "output": "page.children",
        "outputs": {"id": "page", "property": "children"},
        "inputs": inputs,
        "changedPropIds": ["url.pathname"],
    }
    return client.post("/_dash-update-component", json=body)


OUTSIDE = ("/etc/passwd", "../" * 12 + "etc/passwd", "..%2f..%2fetc%2fpasswd", "....//etc/passwd", "C:\\x", "\x00/etc")
parts = st.one_of(
    st.sampled_from([page.name for page in PAGES]),
    st.sampled_from(OUTSIDE),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.integers(-5, 10**12).map(str),
)
queries = st.dictionaries(
    st.sampled_from(["level", "q", "token", "latent", "text", "sort", "order", "parent", "pair", "path", "x"]), parts
)


@given(st.lists(parts, max_size=4), queries)
@example(["feature", "1"], {"level": OUTSIDE[0], "sort": OUTSIDE[1]})
@example(["tree", OUTSIDE[2]], {"q": OUTSIDE[0]})
def test_nothing_in_a_url_names_a_file(app, client, demo_run, path, query) -> None:
    address = Address(page="/".join(path), query=query).href
    pathname, _, search = address.partition("?")
    ours = (demo_run.path, sys.prefix, sys.base_prefix, Path(server.__file__).parents[2], *mimetypes.knownfiles)
    allowed = tuple(os.path.realpath(each) for each in ours)
    with opened() as paths:
        answer = ask(client, pathname, f"?{search}")
        plain = client.get(pathname if pathname.isascii() and "\x00" not in pathname else "/x")
    assert answer.status_code == 200
    assert plain.status_code in (200, 308, 400, 404, 405)
    assert b"root:x:" not in answer.data + plain.data
    for opened_path in paths:
        assert "passwd" not in opened_path
        assert os.path.realpath(opened_path).startswith(allowed), opened_path


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../tables.py",
        "/assets/..%2f..%2ftables.py",
        "/assets//etc/passwd",
        "/_dash-component-suites/dash/../x",
    ],
)
def test_assets_are_those_of_the_app(client, path) -> None:
    answer = client.get(path)
    assert answer.status_code == 404 or b"mantine" in answer.data  # an address of the app answers with the app
    assert b"RunTables" not in answer.data and b"root:x:" not in answer.data


def test_only_local_names_are_answered(demo_run) -> None:
    made = server.make_local_server(demo_run.path, port=0)
    try:
        assert made.server_address[0] == "127.0.0.1"
        client = made.app.test_client()
        for host, status in (("127.0.0.1:8050", 200), ("localhost", 200), ("[::1]:80", 200), ("evil.example", 403)):
            assert client.get("/", headers={"Host": host}).status_code == status, host
    finally:
        made.server_close()


def test_every_answer_forbids_requests_to_other_machines(client) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'self'" in policy and "http" not in policy


@pytest.mark.parametrize(("host", "warns"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_another_host_warns(demo_run, monkeypatch, host, warns) -> None:
    said: list[str] = []
    monkeypatch.setattr("werkzeug.serving.BaseWSGIServer.serve_forever", lambda self: None)
    server.serve(demo_run.path, port=0, host=host, browser=False, say=said.append)
    assert any("no password" in line for line in said) == warns
    assert "http://127.0.0.1:" in said[-1]


def test_a_port_that_is_taken_is_said(demo_run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="--port"):
            server.make_local_server(demo_run.path, port=taken.getsockname()[1])


@pytest.mark.parametrize("damage", ["gone", "half-written"])
def test_every_page_says_what_to_run_when_tables_are(demo_run, tmp_path, damage) -> None:
    path = tmp_path / "run"
    shutil.copytree(demo_run.path, path)
    for file in (path / "results").iterdir():
        if damage == "gone":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    tables = RunTables(path)
    for page in PAGES:
        address = Address(page=page.name, latent=None if page.listed else 3)
        pathname, _, search = address.href.partition("?")
        shown = json.dumps(render({page.name: page}.get, tables, pathname, search), cls=_Encoder)
        assert "msae analyze" in shown or "msae eval" in shown, page.title
        assert "Traceback" not in shown


class _Encoder(json.JSONEncoder):
    def default(self, value: object) -> object:
        return value.to_plotly_json() if hasattr(value, "to_plotly_json") else super().default(value)
