"""Every table of the yard, for comparing the history with today's definitions."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil

import sqlalchemy as sa

import modelyard.server
import modelyard.server.kernel.auth
import modelyard.server.kernel.events
import modelyard.server.kernel.reconcile
from modelyard.server.kernel.db import metadata


def whole() -> sa.MetaData:
    """The metadata with each slice's tables in it."""
    for slice_ in pkgutil.iter_modules(modelyard.server.__path__):
        tables = f"modelyard.server.{slice_.name}.tables"
        if slice_.ispkg and importlib.util.find_spec(tables) is not None:
            importlib.import_module(tables)
    return metadata
