"""The pages: one a file, each ending in its `PAGE`. To add one, write its file and list it here, where it belongs in
the navigation bar."""

from msae_dashboards.pages import absorption, compare, feature, features, overview, prompt, splitting, tree
from msae_dashboards.pages.page import Page

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    features.PAGE,
    feature.PAGE,
    tree.PAGE,
    splitting.PAGE,
    absorption.PAGE,
    compare.PAGE,
    prompt.PAGE,
)

__all__ = ["PAGES", "Page"]
