"""What is around every page: the bar with navigation, search, light and dark, and help."""

from __future__ import annotations

from collections.abc import Sequence

import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component

from msae_dashboards.pages import Page

URL, PAGE, SEARCH, HELP, HELP_BUTTON = "url", "page", "search", "help", "help-button"
KEYS = (
    ("← →", "previous and next feature; in the live prompt, token"),
    ("/", "search features: a number opens that feature, words search tokens"),
    ("?", "this help"),
    ("Esc", "leave a field, close this help"),
)
THEME = {
    "primaryColor": "blue",
    "fontFamily": "Inter, 'Segoe UI', system-ui, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif",
    "fontFamilyMonospace": "'JetBrains Mono', 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace",
    "defaultRadius": "sm",
}


def layout(title: str, pages: Sequence[Page]) -> Component:
    """The shell around an empty page. Everything it needs is served from this machine."""
    links = [
        dcc.Link(page.title, href=page.href, className=f"nav-link nav-{page.name or 'overview'}")
        for page in pages
        if page.listed
    ]
    bar = html.Div(
        [
            dcc.Link([html.B("msae"), html.Span(title)], href="/", className="brand", title="Overview"),
            html.Nav(links, className="nav", **{"aria-label": "Pages"}),
            dmc.TextInput(
                id=SEARCH, placeholder="Search features  /", size="xs", className="search", **_label("Search features")
            ),
            dmc.ColorSchemeToggle(
                lightIcon="☾",
                darkIcon="☀",
                variant="subtle",
                color="gray",
                size="md",
                id="scheme",
                **_label("Light or dark"),
            ),
            dmc.ActionIcon("?", id=HELP_BUTTON, variant="subtle", color="gray", size="md", **_label("Keyboard help")),
        ],
        className="bar",
    )
    return dmc.MantineProvider(
        [
            dcc.Location(id=URL, refresh="callback-nav"),
            html.A("Skip to the page", href=f"#{PAGE}", className="skip"),
            dmc.AppShell(
                [
                    dmc.AppShellHeader(bar),
                    dmc.AppShellMain(html.Div(id=PAGE, tabIndex=-1)),
                ],
                header={"height": 52},
                padding=0,
            ),
            _help(),
        ],
        theme=THEME,
        defaultColorScheme="auto",
    )


def _help() -> Component:
    rows = [html.Tr([html.Td(html.Kbd(key)), html.Td(what)]) for key, what in KEYS]
    return dmc.Modal(html.Table(html.Tbody(rows), className="keys"), id=HELP, title="Keyboard", size="md")


def _label(text: str) -> dict[str, str]:
    return {"aria-label": text}
