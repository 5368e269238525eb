"""A figure for the documentation: an HTML page that msae wrote, as an SVG file, by an installed Chromium.

python experiments/lib/figure_image.py runs/absorption-study/absorption.html experiments/studies/results/absorption.svg
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import tyro
from playwright.sync_api import sync_playwright
from tyro.conf import Positional

from experiments.lib.browser import installed_browser

IMAGE = "([width, height]) => Plotly.toImage('figure', {format: 'svg', width, height})"


@dataclass(frozen=True, kw_only=True)
class Image:
    page: Positional[Path]
    to: Positional[Path]
    width: int = 1100
    height: int | None = None
    """By default the figure's own."""


def main(image: Image) -> None:
    path = installed_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        page = browser.new_page(viewport={"width": image.width, "height": 1200})
        page.goto(image.page.resolve().as_uri())
        page.wait_for_selector("#figure .main-svg")
        height = image.height or page.evaluate("document.getElementById('figure').layout.height")
        address = page.evaluate(IMAGE, [image.width, height])
        browser.close()
    image.to.write_text(unquote(address.partition(",")[2]), encoding="utf-8")
    print(f"{image.to}: {image.to.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(tyro.cli(Image, description=__doc__))
