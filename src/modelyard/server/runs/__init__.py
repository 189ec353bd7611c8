"""Runs and their experiments: life, placement, metrics, logs and files."""
