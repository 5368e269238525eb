"""The pages, in the order of the navigation bar, each a folder with its panels. To add one, write it and list it here.

`PANELS` is all that they show. The app, the export, notebooks and the tests use these lists alone.
"""

from msae_dashboards.pages.absorption.page import PAGE as ABSORPTION
from msae_dashboards.pages.compare.page import PAGE as COMPARE
from msae_dashboards.pages.feature.page import PAGE as FEATURE
from msae_dashboards.pages.features.page import PAGE as FEATURES
from msae_dashboards.pages.nest.page import PAGE as NEST
from msae_dashboards.pages.overview.page import PAGE as OVERVIEW
from msae_dashboards.pages.page import Page
from msae_dashboards.pages.panel import Panel
from msae_dashboards.pages.prompt.page import PAGE as PROMPT
from msae_dashboards.pages.splitting.page import PAGE as SPLITTING
from msae_dashboards.pages.tree.page import PAGE as TREE

PAGES: tuple[Page, ...] = (NEST, OVERVIEW, FEATURES, FEATURE, TREE, SPLITTING, ABSORPTION, COMPARE, PROMPT)
PANELS: tuple[Panel, ...] = tuple(dict.fromkeys(panel for page in PAGES for panel in page.panels))

__all__ = ["FEATURE", "FEATURES", "NEST", "OVERVIEW", "PAGES", "PANELS", "PROMPT", "Page", "Panel"]
