"""Where MLflow's files lie on this machine: its addresses as directories."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from modelyard.importing.mlflow_records import Broken


class Places:
    """`artifacts`: the directory that the server's artifact root was, where it is given; it stands for any root whose
    paths end alike, so that a moved or copied directory is found too."""

    def __init__(self, artifacts: str | None, base: str) -> None:
        self._artifacts = artifacts
        self._base = base  # of relative paths

    def directory(self, address: str) -> str:
        """The directory or file behind an artifact address. Raises Broken when it is not on this machine."""
        parts = urlsplit(address)
        if parts.scheme in ("", "file") or len(parts.scheme) == 1:
            path = unquote(parts.path) if parts.scheme == "file" else address
            path = os.path.normpath(os.path.join(self._base, path))
            if self._artifacts is None or os.path.exists(path):
                return path
            return self._elsewhere(path)
        if self._artifacts is None:
            raise Broken(
                f"its files lie at {address}, which is not read; give their directory with --artifacts"
            )
        return self._elsewhere(unquote(parts.path))

    def _elsewhere(self, path: str) -> str:
        """The longest end of the path that is there below `artifacts`."""
        assert self._artifacts is not None
        names = [name for name in path.replace("\\", "/").split("/") if name not in ("", ".", "..")]
        for start in range(len(names)):
            found = os.path.join(self._artifacts, *names[start:])
            if os.path.exists(found):
                return found
        return os.path.join(self._artifacts, *names[-3:])
