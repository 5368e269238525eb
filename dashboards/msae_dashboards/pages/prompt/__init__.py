"""The live prompt: the page and its panels."""
