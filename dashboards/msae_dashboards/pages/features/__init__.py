"""The feature browser: the page and its panels."""
