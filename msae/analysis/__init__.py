"""Measurements of a trained SAE. They return tables and figures of merit; they never train and never plot."""
