"""Labelled concepts: probes for them, latents that separate them, and absorption that labels can see."""
