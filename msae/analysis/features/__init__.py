"""What one latent does: how often, on which tokens, towards which predictions."""
