"""Where activations come from and how they lie on disk."""
