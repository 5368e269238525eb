"""What the server answers to whom: no web site's own name, and files named by code, never by a URL."""

from __future__ import annotations

import gzip
import mimetypes
import os
import posixpath
import re
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from msae.core.errors import ConfigError
from msae_dashboards.address import Address
from msae_dashboards.app import server
from msae_dashboards.app.app import create_app
from msae_dashboards.data.filter import Filter
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages import FEATURE, PAGES
from tests.dashboards.view.reader import Reader

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
def client(demo_run):
    client = create_app(demo_run.path).server.test_client()
    assert client.get("/features").status_code == 200  # Dash makes its index at the first request
    return client


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
@example(["assets", OUTSIDE[1]], {})
def test_nothing_in_a_url_names_a_file(client, demo_run, path, query) -> None:
    ours = (demo_run.path, sys.prefix, sys.base_prefix, Path(server.__file__).parents[3], *mimetypes.knownfiles)
    allowed = tuple(os.path.realpath(each) for each in ours)
    with opened() as paths:
        answer = client.get("/" + quote("/".join(path).lstrip("/")), query_string=query)
        rows = client.get("/features/rows", query_string=query)
    assert answer.status_code in (200, 302, 308, 400, 404, 405) and rows.status_code == 200
    assert b"root:x:" not in answer.data + rows.data
    for opened_path in paths:
        assert "passwd" not in opened_path
        assert os.path.realpath(opened_path).startswith(allowed), opened_path


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../data/tables.py",
        "/assets/..%2f..%2fdata%2ftables.py",
        "/assets//etc/passwd",
        "/assets/grid.py",
        "/_grid/_dash-component-suites/dash/../x",
    ],
)
def test_files_are_those_of_the_app(client, path) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"RunTables" not in answer.data and b"root:x:" not in answer.data


@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "LOCALHOST", "0.0.0.0", "127.0.0.2"])
def test_whatever_it_is_bound_to_a_web_site_s_own_name_is_refused(demo_run, bound) -> None:
    made = server.make_local_server(demo_run.path, port=0, host=bound)
    try:
        client = made.app.test_client()
        named = {"127.0.0.1:8050": 200, "localhost": 200, "LocalHost:8050": 200, "[::1]:80": 200, "192.168.1.7:80": 200}
        for host, status in {
            **named,
            "evil.example": 403,
            "evil.example:80": 403,
            "127.0.0.1.evil.example": 403,
        }.items():
            assert client.get("/_alive", headers={"Host": host}).status_code == status, host
    finally:
        made.server_close()


def test_a_name_of_this_machine_that_was_given_is_answered(demo_run) -> None:
    assert server.is_named("workstation:80", "workstation") and not server.is_named("workstation.evil", "workstation")
    assert not server.is_named("[", "127.0.0.1")


def test_no_host_is_no_host(demo_run) -> None:
    with pytest.raises(ConfigError, match="host = ''"):
        server.make_local_server(demo_run.path, port=0, host="")


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.0.0.2", True), ("::1", True), ("LOCALHOST", True), ("0.0.0.0", False)],
)
def test_what_only_this_machine_reaches(host, local) -> None:
    assert server.is_local(host) is local


def test_every_answer_forbids_requests_to_other_machines(client) -> None:
    for path in ("/", "/features", "/assets/msae.js", "/nowhere"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'self'" in policy and "http" not in policy


def test_only_json_is_read_of_what_is_sent(client) -> None:
    """A form of another web site cannot be sent as JSON."""
    assert client.post("/prompt/read", data={"text": "x"}).status_code == 415
    assert client.post("/prompt/read", data="{", content_type="application/json").status_code == 400
    assert client.post("/prompt/read", json=["x"]).status_code == 200


def test_pages_link_relatively_so_that_they_hold_behind_a_proxy(client) -> None:
    for path in ("/", "/features", "/tree", "/feature/3", "/tree/3"):
        page = client.get(path).text
        references = re.findall(r'(?:href|src|content)="([^"]*)"', page)
        assert not [reference for reference in references if reference.startswith(("/", "http"))]
        where = posixpath.dirname(path)
        root = {
            posixpath.normpath(posixpath.join("/proxy/8050" + where, each)) for each in references if "feature/" in each
        }
        assert all(each.startswith("/proxy/8050/feature/") for each in root)


def test_a_slash_too_many_leads_to_the_page(client) -> None:
    assert client.get("/tree/3/?level=1").headers["Location"] == "../3?level=1"
    assert client.get("/tree/").headers["Location"] == "../tree"


def test_a_random_feature_is_one_that_fires_and_that_the_filter_lets_through(client, demo_run) -> None:
    features = RunTables(demo_run.path).features()
    alive = [latent for latent in range(16, 48) if features.n_tokens[latent]]
    for draw, latent in ((0, alive[0]), (0.999, alive[-1]), (1, alive[-1]), ("nonsense", alive[0])):
        answer = client.get("/feature/random", query_string={"level": "1", "draw": draw})
        assert (answer.status_code, answer.headers["Location"]) == (302, f"./{latent}?level=1")
    assert client.get("/feature/random?q=no+such+word&draw=0.5").status_code == 404


def test_rows_are_those_of_the_filter_block_by_block(client, demo_run) -> None:
    features = RunTables(demo_run.path).features()
    query = {"sort": "max", "order": "desc", "alive": "alive"}
    blocks = [client.get("/features/rows", query_string={**query, "first": at, "stop": at + 50}).json for at in (0, 50)]
    order = features.find(Filter.of(query)).tolist()
    assert [row["latent"] for block in blocks for row in block["rows"]] == order[:100]
    assert blocks[0]["found"] == len(order) and blocks[0]["of"] == 128


def test_texts_are_sent_compressed_and_files_are_kept(client) -> None:
    page = client.get("/feature/3", headers={"Accept-Encoding": "gzip"})
    assert page.headers["Content-Encoding"] == "gzip" and len(page.data) < 20_000
    assert gzip.decompress(page.data) == client.get("/feature/3").data
    file = client.get("/assets/msae.js")
    assert "immutable" in file.headers["Cache-Control"]


@pytest.mark.parametrize(("host", "warns"), [("127.0.0.1", False), ("127.0.0.2", False), ("0.0.0.0", True)])
def test_another_host_warns(demo_run, monkeypatch, host, warns) -> None:
    lines: list[str] = []
    monkeypatch.setattr("werkzeug.serving.BaseWSGIServer.serve_forever", lambda self: None)
    server.serve(demo_run.path, port=0, host=host, browser=False, say=lines.append)
    assert any("no password" in line for line in lines) == warns
    assert f"http://{'127.0.0.1' if warns else host}:" in lines[-1]


def test_a_port_that_is_taken_is_refused(demo_run) -> None:
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
    client = create_app(path).server.test_client()
    for page in PAGES:
        answer = client.get(Address(page=page.name, latent=3 if page is FEATURE else None).href)
        assert answer.status_code == 200
        assert "msae analyze" in answer.text or "msae eval" in answer.text, page.title
        assert "Traceback" not in answer.text


def test_a_page_that_fails_says_so_and_the_others_go_on(demo_run, monkeypatch, caplog) -> None:
    def broken(visit: object) -> None:
        raise RuntimeError("a fault")

    pages = [replace(page, body=broken) if page.name == "tree" else page for page in PAGES]
    client = create_app(demo_run.path, pages).server.test_client()
    answer = client.get("/tree")
    assert answer.status_code == 500 and "This page failed" in answer.text and "a fault" in caplog.text
    assert client.get("/splitting").status_code == 200


def test_the_name_of_a_run_is_text_wherever_it_stands(demo_run, tmp_path) -> None:
    run = tmp_path / "<" / 'title><img src=x onerror="window.stolen = 1">{%scripts%}$body'
    shutil.copytree(demo_run.path, run)
    client = create_app(run).server.test_client()
    for page in PAGES:
        read = Reader(client.get(Address(page=page.name, latent=3 if page is FEATURE else None).href).text)
        assert not [name for name, _ in read.tags if name == "img"], page.title
        assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")], page.title
        assert "{%scripts%}$body" in read.text
