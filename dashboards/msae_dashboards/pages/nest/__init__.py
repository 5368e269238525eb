"""Nest: one text, read at every level."""
