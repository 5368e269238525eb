"""A latent's page: the page and its panels."""
