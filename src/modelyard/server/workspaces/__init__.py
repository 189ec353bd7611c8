"""Workspaces: the top of everything; a name in the path of nearly every route."""
