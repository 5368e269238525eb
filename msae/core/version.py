"""The version of msae: what the package is built as, and what everything it writes says."""

__version__ = "0.2.0.dev0"
