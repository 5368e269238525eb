"""Kernels: one step's losses and gradients. `reference` is dense and obviously right; the others must equal it."""
