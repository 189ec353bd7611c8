"""Brings what other systems kept into a yard: read here, where it lies, and sent as the file of a workspace."""
