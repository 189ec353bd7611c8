"""config.json: which workspace a directory belongs to."""

from __future__ import annotations

import json
import os
import re
from typing import Dict, Optional

from modelyard import errors

_SCOPE = re.compile(
    r"^/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/[^/]+/workspaces/([^/]+)", re.IGNORECASE
)


def find(start: Optional[str], file_name: str) -> Optional[str]:
    """The file from `start` (a file, or where the search begins) upwards; None where there is none."""
    place = os.path.abspath(start or ".")
    if os.path.isfile(place):
        return place
    while True:
        for folder in ("", ".azureml", "aml_config"):  # the last is what v1's first releases wrote
            candidate = os.path.join(place, folder, file_name)
            if os.path.isfile(candidate):
                return candidate
        parent = os.path.dirname(place)
        if parent == place:
            return None
        place = parent


def read(file: str) -> Dict[str, str]:
    """What it says, `workspace_name` at least. Raises UserErrorException."""
    try:
        with open(file, encoding="utf-8-sig") as stream:  # the Azure portal's download begins with a BOM
            config = json.load(stream)
    except (OSError, ValueError) as error:
        raise errors.UserErrorException(f"{file} can't be read as JSON: {error}") from error
    config = config if isinstance(config, dict) else {}
    scope = _SCOPE.search(str(config.get("Scope")))
    if scope is not None:  # what `az ml folder attach` wrote
        config = dict(zip(("subscription_id", "resource_group", "workspace_name"), scope.groups()))
    name = config.get("workspace_name")
    if not isinstance(name, str) or not name:
        raise errors.UserErrorException(
            f"{file} names no workspace. It should look like "
            '{"subscription_id": "…", "resource_group": "…", "workspace_name": "…"}.'
        )
    return {key: str(value) for key, value in config.items()}
