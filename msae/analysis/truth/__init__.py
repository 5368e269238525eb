"""An SAE held against features that are known."""
