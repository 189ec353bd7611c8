"""Environments on a node: found where a person manages them, built once per content by uv where not."""
