"""Artifacts: blobs that arrive, trees made of them, and how files are given out again."""
