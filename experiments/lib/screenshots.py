"""The README's pictures of the dashboard, from a run: a feature's page and the live prompt.

python experiments/lib/screenshots.py                                   # dashboards/images, of runs/demo
python experiments/lib/screenshots.py --feature 12 --steered 12         # of other latents
python experiments/lib/screenshots.py --pages /tree /compare --to /tmp  # pages to look at, each light and dark
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path

import tyro
from playwright.sync_api import Browser, sync_playwright

from experiments.lib.browser import installed_browser
from msae_dashboards.address import feature_href, prompt_href
from msae_dashboards.app.server import make_local_server

WIDTH, HEIGHT = 1366, 768
TEXT = """class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def norm(self):"""
READY = """() => document.querySelector('#page h1') && !document.querySelector('.progress:not(.done)')
    && [...document.querySelectorAll('.figure')].every((figure) => figure.querySelector('.main-svg'))
    && (location.pathname !== '/features' || document.querySelector('.ag-row .ag-cell a'))
    && (location.pathname !== '/prompt' || document.querySelector('.pick .strip'))"""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What is pictured. `feature`: whose page; `steered`: the latent that the live prompt is steered by, at `strength`
    times its largest activation. `pages`: addresses of pages to picture instead, whole, light and dark."""

    run: Path = Path("runs/demo")
    to: Path = Path("dashboards/images")
    feature: int = 488
    steered: int = 272
    strength: float = 0.6
    pages: tuple[str, ...] = ()


def main(pictures: Pictures) -> None:
    path = installed_browser()
    server = make_local_server(pictures.run, port=0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for page in pictures.pages:
            name = re.sub(r"\W+", "-", page).strip("-") or "overview"
            for scheme in ("light", "dark"):
                take(browser, home + page, pictures.to / f"{name}-{scheme}.png", scheme=scheme, whole=True)
        if not pictures.pages:
            state = {"text": TEXT, "token": "28", "latent": str(pictures.steered), "strength": str(pictures.strength)}
            take(browser, home + feature_href(pictures.feature), pictures.to / "feature.png")
            take(browser, home + prompt_href(**state), pictures.to / "prompt.png", whole=True)
        browser.close()
    server.shutdown()


def take(browser: Browser, url: str, to: Path, *, scheme: str = "light", whole: bool = False) -> None:
    """A picture of a page when everything on it is drawn: of a laptop's window, or of the `whole` page."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
    page.goto(url)
    page.wait_for_function(READY, timeout=300_000)
    to.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=to, full_page=whole)
    page.close()
    print(f"{to}: {to.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(tyro.cli(Pictures, description=__doc__))
