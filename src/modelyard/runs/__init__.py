"""Runs as the user's process sees them: submit, follow, log, read. `Run` itself is in `run.py`."""
