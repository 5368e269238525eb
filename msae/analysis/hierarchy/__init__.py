"""How levels hang together: edges, tree, splitting, absorption, matching."""
