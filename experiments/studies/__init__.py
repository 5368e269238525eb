"""One question each; what came out lies in results/."""
