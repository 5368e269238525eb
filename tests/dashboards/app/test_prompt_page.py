"""The live prompt in a real browser: its numbers are those of `sae.encode`, and steering changes what is written."""

from __future__ import annotations

import re

import pytest
import torch

import msae
import msae.demo
from msae.activations.source import rows_kept
from msae.data.documents import string_documents
from msae_dashboards.address import Address
from msae_dashboards.data.tables import RunTables
from msae_dashboards.pages.prompt.page import EXAMPLE


@pytest.fixture(scope="module")
def source(demo_run) -> msae.TransformerLensSource:
    return msae.TransformerLensSource(msae.demo.model_path(), layer=3)


@torch.no_grad()
def encoded(run: msae.Run, source: msae.TransformerLensSource, text: str) -> torch.Tensor:
    """The codes of a text by the model and `encode_dense` alone."""
    (hook,) = source.specs
    batches = list(source.contexts(string_documents([text])))
    x = torch.cat([rows_kept(batch, source.activations(batch)[hook]) for batch in batches])
    return run.sae.encode_dense(x)


def prompt(site: str, **query: str) -> str:
    return site + Address(page="prompt", query=query).href


def ready(page) -> None:
    page.wait_for_selector("#prompt-left:not(.stale) .pick .strip")


def listed(page) -> dict[int, str]:
    """The latents of the chosen token with their activations, as shown."""
    rows = page.locator(".prompt-token li")
    return {
        int(rows.nth(place).locator(".latent").inner_text()): rows.nth(place).locator(".value").inner_text()
        for place in range(rows.count())
    }


def finished(page) -> list[str]:
    page.wait_for_selector(".continuation.steered .progress.done", state="attached")
    page.wait_for_selector(".continuation.unsteered .progress.done", state="attached")
    return page.locator(".continuation .written").all_inner_texts()


def test_numbers_are_those_of_encode(site, open_page, demo_run, source) -> None:
    codes = encoded(demo_run, source, EXAMPLE)
    page = open_page(f"{site}/prompt")
    ready(page)
    assert page.input_value("[name=text]") == EXAMPLE
    tokens = page.locator(".pick .strip i")
    assert tokens.count() == len(codes)
    for token in (len(codes) - 1, 3):
        tokens.nth(token).click()
        page.wait_for_selector(f".prompt-token h2:has-text('Token {token}:')")
        expected = {j: f"{float(codes[token, j]):,.2f}" for j in codes[token].nonzero()[:, 0].tolist()}
        assert expected and listed(page) == expected
    latent = int(codes.sum(0).argmax())
    page.click(f".prompt-text-features button[data-latent='{latent}']")
    page.wait_for_selector(f".chosen .latent:text-is('{latent}')")
    shown = [float(value or 0) for value in tokens.evaluate_all("all => all.map(token => token.dataset.v ?? null)")]
    assert shown == pytest.approx(codes[:, latent].tolist(), rel=1e-3)
    assert f"latent={latent}" in page.url and "token=3" in page.url


def test_a_state_has_a_url_and_features_open(site, open_page, demo_run, source) -> None:
    text = "import os\nimport sys\n"
    codes = encoded(demo_run, source, text)
    latent = int(codes.sum(0)[16:48].argmax()) + 16
    page = open_page(prompt(site, text=text, token="1", latent=str(latent), level="1"))
    ready(page)
    page.wait_for_selector(f".chosen .latent:text-is('{latent}')")
    assert page.locator(".prompt-token .of-level").count() == 1
    assert all(16 <= other < 48 for other in listed(page))
    page.click(f".prompt-text-features .latent:text-is('{latent}')")
    page.wait_for_selector(f"h1:text-is('Feature {latent}')")
    page.go_back()
    ready(page)
    assert page.input_value("[name=text]") == text
    page.fill("[name=text]", "x = 1")
    page.wait_for_function("new URLSearchParams(location.search).get('text') === 'x = 1'")
    n = len(encoded(demo_run, source, "x = 1"))
    page.wait_for_function(f"document.querySelectorAll('.pick .strip i').length === {n}")
    assert "token=" not in page.url and "level=1" in page.url


def test_arrow_keys_go_through_tokens(site, open_page) -> None:
    page = open_page(prompt(site, text="import os\nimport sys\n", token="1"))
    ready(page)
    page.wait_for_selector(".prompt-token h2:has-text('Token 1:')")
    page.locator(".pick").focus()
    for key, token in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2)):
        page.keyboard.press(key)
        page.wait_for_selector(f".prompt-token h2:has-text('Token {token}:')")
    page.wait_for_function("new URLSearchParams(location.search).get('token') === '2'")
    assert page.url.startswith(f"{site}/prompt?")


def test_steering_changes_the_text(site, open_page, demo_run, source) -> None:
    text = "def main(argv):\n    parser ="
    codes = encoded(demo_run, source, text)
    latent = int(codes.sum(0).argmax())
    page = open_page(prompt(site, text=text, latent=str(latent), n="20"))
    page.wait_for_selector("#prompt-written:has-text('Move the slider')")
    slider = page.locator("[name=strength]")
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_function("location.search.includes('strength=4')")
    unsteered, steered = finished(page)
    assert unsteered != steered
    written = msae.analysis.interventions.steering.continue_text(source, text, n_tokens=20)
    assert unsteered.replace("↵\n", "\n").replace("↵", "\n") == written.text
    assert page.locator(".written i.differs").count() == 1
    strength = page.locator(".steered-by .value").inner_text()
    most = float(RunTables(demo_run.path).features().max[latent])
    assert re.search(rf"\+4 × .*= {4 * most:,.2f}$", strength)
    page.keyboard.press("Home")
    page.wait_for_function("location.search.includes('strength=-2')")
    assert finished(page)[0] == unsteered


def test_a_hostile_text_is_text(site, open_page) -> None:
    text = """<script>window.stolen = 1</script>"><img src=x onerror='window.stolen = 1'> 🐈 naïve"""
    page = open_page(prompt(site, text=text + "\u202eabc\u200b"))
    ready(page)
    assert "".join(page.locator(".pick .strip i").all_inner_texts()) == text + "⟨202E⟩abc⟨200B⟩"
    assert page.evaluate("window.stolen === undefined")


def test_a_feature_offers_a_text_of_its_own(site, open_page, demo_run) -> None:
    latent = int(RunTables(demo_run.path).features().max.argmax())
    page = open_page(f"{site}/feature/{latent}")
    page.click("a.move.try")
    ready(page)
    page.wait_for_selector(f".chosen .latent:text-is('{latent}')")
    assert page.locator(".pick .strip i[data-v]").count() > 0
