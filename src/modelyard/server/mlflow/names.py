"""What keys and values may be, in MLflow's own words: a client shows them as they are."""

from __future__ import annotations

import json
import posixpath
import re

from modelyard.server.mlflow import errors

MAX_KEY = 250
MAX_PARAM_VALUE = 6000
MAX_TAG_VALUE = 8000
MAX_EXPERIMENT_TAG_VALUE = 20_000
MAX_EXPERIMENT_NAME = 500

_NAME = re.compile(r"[/\w.\- :]*")
_CHARACTERS = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes "
    "(/)."
)


def check_key(key: str, path: str = "key") -> None:
    """The name of a metric, parameter or tag; `path` says where in the request it stands."""
    problem = ""
    if _NAME.fullmatch(key) is None:
        problem = _CHARACTERS
    elif _is_other_path(key):
        problem = (
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
            f"This name would resolve to {posixpath.normpath(key)!r}"
        )
    if problem:
        shown = json.dumps(key, sort_keys=True, separators=(",", ":"))
        raise errors.invalid(f"Invalid value {shown} for parameter '{path}' supplied: {problem}")


def check_length(what: str, value: str, most: int) -> None:
    if len(value) > most:
        raise errors.invalid(f"'{what}' exceeds the maximum length of {most} characters")


def shortened(value: str, most: int) -> str:
    """MLflow's server cuts long parameters and tags of runs without a word, and its clients count on that."""
    return value[:most]


def check_experiment_name(name: str) -> None:
    check_length("name", name, MAX_EXPERIMENT_NAME)


def check_experiment_tag(key: str, value: str) -> None:
    check_key(key)
    check_length("key", key, MAX_KEY)
    check_length("value", value, MAX_EXPERIMENT_TAG_VALUE)


def _is_other_path(name: str) -> bool:
    normal = posixpath.normpath(name)
    return normal != name or normal == "." or normal.startswith(("..", "/"))
