"""The app: a run's pages, served. Dash stands behind the grid alone."""
