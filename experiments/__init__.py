"""Questions put to msae, and what came out: see README.md. Nothing in msae imports from here."""
