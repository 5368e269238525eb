"""The version of msae, which everything it writes says."""

__version__ = "0.1.0"
