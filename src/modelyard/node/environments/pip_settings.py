"""Where this machine's pip is told to find packages, said to uv, which does not read pip's settings."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping

_SYSTEM_FILE = "/etc/pip.conf"

# pip's setting -> uv's variable. Several values are separated by spaces or line breaks in pip's files.
_SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
}


def for_uv(environ: Mapping[str, str]) -> dict[str, str]:
    """uv's variables for what pip's variables and files say. What the machine says to uv itself goes first."""
    if any(
        name in environ for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL")
    ):
        return {}
    said = _from_files(environ)
    for setting in _SETTINGS:
        value = environ.get("PIP_" + setting.upper().replace("-", "_"))
        if value:
            said[setting] = value
    translated: dict[str, str] = {}
    for setting, variable in _SETTINGS.items():
        words = said.get(setting, "").split()
        if not words or variable in environ:
            continue
        if setting == "no-index":
            if words[0].lower() in ("1", "true", "yes", "on"):
                translated[variable] = "1"
            continue
        # uv separates find-links by commas, the rest by spaces.
        translated[variable] = ("," if setting == "find-links" else " ").join(words)
    if "UV_INDEX" in translated:
        # pip takes the best version of all its indexes, and the machine's settings were made for pip.
        translated["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in translated.items() if name not in environ}


def _from_files(environ: Mapping[str, str]) -> dict[str, str]:
    home = os.path.expanduser("~")
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    files = [
        _SYSTEM_FILE,
        os.path.join(home, ".pip", "pip.conf"),
        os.path.join(config, "pip", "pip.conf"),
        os.path.join(home, "Library", "Application Support", "pip", "pip.conf"),
        os.path.join(sys.prefix, "pip.conf"),
        environ.get("PIP_CONFIG_FILE", ""),
    ]
    said: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue  # pip itself will complain about it; a build must not fail on a file it can do without
        for section in ("global", "install"):
            if parser.has_section(section):
                said.update({k: v for k, v in parser.items(section) if k in _SETTINGS})
    return said
