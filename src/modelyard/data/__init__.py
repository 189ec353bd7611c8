"""Data of a workspace: its datastores."""
