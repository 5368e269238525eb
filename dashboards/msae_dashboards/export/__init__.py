"""A run's pages as a folder of files that open with no server and no network."""

from msae_dashboards.export.write import export_html

__all__ = ["export_html"]
