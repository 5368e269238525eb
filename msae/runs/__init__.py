"""Runs on disk: where everything in a run folder lies, and what its records say. No torch, so readers stay light."""
