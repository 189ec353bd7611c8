"""Asks a conda channel on the network for its repodata."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from urllib.parse import unquote, urlsplit, urlunsplit


def complaint(address: str, limit_s: float) -> str:
    """Why the channel at `address` gives no repodata; empty when it does. `limit_s` is for each step, not the whole."""
    try:
        # Closed as soon as it begins to answer: a large channel's repodata has tens of megabytes.
        with urllib.request.urlopen(_request(address), timeout=limit_s) as answer:  # noqa: S310  # http or https
            return "" if answer.read(64).lstrip()[:1] == b"{" else "what it answers with is not repodata"
    except urllib.error.HTTPError as error:
        with error:
            # It asks who is there, and py-rattler may know what to say.
            return "" if error.code == http.client.UNAUTHORIZED else f"HTTP {error.code} {error.reason}"
    except urllib.error.URLError as error:
        return _words(error.reason)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _words(error)


def _request(address: str) -> urllib.request.Request:
    parts = urlsplit(f"{address}/noarch/repodata.json")
    who, _, host = parts.netloc.rpartition("@")
    headers = {"User-Agent": "modelyard"}
    if who:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(who).encode()).decode()
    return urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers=headers)  # noqa: S310  # as above


def _words(error: object) -> str:
    if isinstance(error, ssl.SSLError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
