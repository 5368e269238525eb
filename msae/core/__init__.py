"""Errors, strict configs, named random streams, safe files and `SourceSpec`: what every other layer stands on."""
