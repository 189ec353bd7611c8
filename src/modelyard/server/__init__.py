"""The yard: the server process and everything it knows. Cut by concept; see docs/contributing/architecture.md."""
