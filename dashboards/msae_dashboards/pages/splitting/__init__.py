"""Splitting: the page and its panels."""
