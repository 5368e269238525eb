"""Absorption: the page and its panels."""
