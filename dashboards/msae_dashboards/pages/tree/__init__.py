"""The feature tree: the page and its panels."""
