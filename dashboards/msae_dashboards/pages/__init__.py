"""The pages: one a file, each ending in its `PAGE`. To add one, write its file and list it here, where it belongs in
the navigation bar."""

from msae_dashboards.pages import feature, features, overview, prompt
from msae_dashboards.pages.page import Page

PAGES: tuple[Page, ...] = (overview.PAGE, features.PAGE, feature.PAGE, prompt.PAGE)

__all__ = ["PAGES", "Page"]
