"""Endpoints: web services, their revisions, and what a node is to keep running for them."""
