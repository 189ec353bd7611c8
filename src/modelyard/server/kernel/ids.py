"""Identifiers and secrets."""

from __future__ import annotations

import hashlib
import secrets
import uuid


def new_id() -> str:
    """A random id for a thing whose name people choose; v1's GUID shape."""
    return str(uuid.uuid4())


def new_token(prefix: str) -> str:
    """A bearer secret with 256 random bits; the prefix tells a person (and a secret scanner) what it opens."""
    return f"my_{prefix}_{secrets.token_urlsafe(32)}"


def token_hash(token: str) -> str:
    """What is kept of a token. A plain SHA-256 is enough: the token has 256 random bits, nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
