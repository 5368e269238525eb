"""The overview of a run: the page and its panels."""
