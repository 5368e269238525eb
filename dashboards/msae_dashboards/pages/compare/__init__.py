"""Comparison: the page and its panels."""
