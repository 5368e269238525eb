"""How fast, and how much memory; what came out lies in results/."""
