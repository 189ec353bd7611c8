"""Registered environments of a workspace, the curated ones, and the builds that nodes report."""
