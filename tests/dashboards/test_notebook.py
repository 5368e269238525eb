"""A feature in a notebook's cell, and the app in a frame that ends with its kernel."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import urllib.request

import pytest

import msae
import msae_dashboards
from msae.core.errors import CheckpointError, ConfigError
from msae_dashboards.data.tables import RunTables
from msae_dashboards.notebook import cell
from msae_dashboards.pages.latents import UnknownLatentError


def shown_in(open_page, site: str, output: str):
    """A cell's output in a page, as a notebook shows it; the frame it stands in."""
    page = open_page(site)
    page.set_content(f"<body data-jp-theme-light='false'><h1>a notebook</h1>{output}")
    frame = page.wait_for_selector("iframe").content_frame()
    frame.wait_for_function("document.querySelectorAll('.strip').length > 0 && frameElement.style.height")
    return page, frame


def test_a_cell_shows_the_feature_and_needs_nothing_else(demo_run, site, open_page) -> None:
    latent = int(RunTables(demo_run.path).features().max.argmax())
    by_path, by_run = msae_dashboards.feature(demo_run.path, latent), msae_dashboards.feature(demo_run, latent)
    assert by_path == by_run and len(by_run.document) < 150_000
    assert not re.search(r"(src|href)=\"?(https?:)?//", by_run.document)
    page, frame = shown_in(open_page, site, by_run._repr_html_())
    assert frame.locator("h1").inner_text().startswith(f"Feature {latent} of ")
    assert frame.locator(".panel").count() == 8 and frame.locator(".histogram .bars i").count() == 80
    highest = frame.locator(".examples .example .value").first.inner_text()
    assert highest == f"{RunTables(demo_run.path).features().max[latent]:,.2f}"
    assert frame.locator(".strip i.here").count() > 5
    assert frame.evaluate("document.documentElement.dataset.scheme") == "dark"
    height = "parseInt(frameElement.style.height) - document.querySelector('main').offsetHeight"
    frame.wait_for_function(f"{height} >= 0 && {height} < 20")
    assert page.locator("h1").inner_text() == "a notebook"


def test_hostile_text_shows_as_text_in_a_cell(hostile_run, site, open_page) -> None:
    latent = int(RunTables(hostile_run).features().density.argmax())
    page, frame = shown_in(open_page, site, msae_dashboards.feature(hostile_run, latent)._repr_html_())
    assert "<script>window.stolen" in frame.locator("#page").inner_text()
    assert all(where.evaluate("window.stolen === undefined") for where in (page, frame))


def test_a_cell_can_be_kept_as_a_file(demo_run, tmp_path) -> None:
    kept = msae_dashboards.feature(demo_run, 3)
    assert kept.write_html(tmp_path / "feature.html").read_text(encoding="utf-8") == kept.document


def test_what_is_not_there_is_refused(demo_run, tmp_path) -> None:
    with pytest.raises(UnknownLatentError, match="0 to 127"):
        msae_dashboards.feature(demo_run, 128)
    with pytest.raises(CheckpointError, match="not a run"):
        cell.feature(tmp_path, 0)


def test_the_app_is_embedded_until_it_is_closed(demo_run) -> None:
    embedded = msae_dashboards.embed(demo_run, 5, height=500)
    assert f'src="{embedded.url}"' in embedded._repr_html_() and embedded.url.endswith("/feature/5")
    with urllib.request.urlopen(embedded.url) as answer:
        assert "http://localhost:*" in answer.headers["Content-Security-Policy"]
    embedded.close()
    assert not _answers(embedded.url)


KERNEL = "import sys, msae_dashboards; print(msae_dashboards.embed(sys.argv[1]).url, flush=True); sys.stdin.read()"


def test_the_app_ends_with_its_kernel(demo_run: msae.Run) -> None:
    kernel = subprocess.Popen(
        [sys.executable, "-c", KERNEL, str(demo_run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    url = kernel.stdout.readline().strip()
    assert _answers(url)
    kernel.communicate("")
    assert kernel.returncode == 0 and not _answers(url)


def _answers(url: str) -> bool:
    host, port = url.split("/")[2].split(":")
    assert host == "127.0.0.1"
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_behind_a_proxy_the_frame_leads_there_and_its_name_is_answered(demo_run) -> None:
    embedded = msae_dashboards.embed(demo_run, 5, proxy="https://hub.example.org/user/me/proxy/")
    try:
        server = embedded._server
        assert embedded.url == f"https://hub.example.org/user/me/proxy/{server.server_port}/feature/5"
        client = server.app.test_client()
        for host, status in (("hub.example.org", 200), ("127.0.0.1", 200), ("evil.example", 403)):
            assert client.get("/feature/5", headers={"Host": host}).status_code == status
    finally:
        embedded.close()


def test_a_frame_says_what_to_do_where_it_stays_empty(demo_run) -> None:
    embedded = msae_dashboards.embed(demo_run)
    embedded.close()
    assert "run this cell again" in embedded._repr_html_()
    with pytest.raises(ConfigError, match="proxy = 'hub'"):
        msae_dashboards.embed(demo_run, proxy="hub")


def test_a_text_at_every_level_shows_in_a_cell(demo_run, site, open_page) -> None:
    cell = msae_dashboards.nest(demo_run, "def main(argv):\n    return")
    assert repr(cell).startswith("NestCell(") and len(cell.document) < 150_000
    page = open_page(site)
    page.set_content(f"<body><h1>a notebook</h1>{cell._repr_html_()}")
    frame = page.wait_for_selector("iframe").content_frame()
    frame.wait_for_selector(".nest-line li")
    words = "".join(frame.locator(".nest-line ol .word").all_inner_texts())
    assert words.replace("␣", " ").startswith("def main(argv):") and frame.locator(".nest-level").count() == 1
