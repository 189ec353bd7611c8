"""What names, tags, properties and texts of runs and experiments may be. Every refusal says the rule."""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelyard.server.kernel.errors import Invalid

MAX_LABELS = 1000
MAX_METRICS = 20_000  # of one run, the machine's among them; their points have no limit
MAX_POINTS = 100_000  # in one call
MAX_KEY = 255
MAX_TAG_VALUE = 20_000
MAX_PARAMS = 10_000
MAX_PARAM_VALUE = 6_000
MAX_PROPERTY_VALUE = 1_000_000
MAX_TEXT = 100_000
MAX_STREAM_NAME = 300
MAX_EXPERIMENT_NAME = 500

# A run id names a directory and a journal on the node, so with its suffix it must fit in 255 bytes.
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,239}")
_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def is_run_id(run_id: str) -> bool:
    return _RUN_ID.fullmatch(run_id) is not None


def check_run_id(run_id: str) -> None:
    if not is_run_id(run_id):
        raise Invalid(
            "bad_run_id",
            f"Run id {run_id[:80]!r} can't be used: it needs 1 to 240 letters, digits, '-' or '_' and begins with a "
            "letter or digit.",
        )


def is_experiment_name(name: str) -> bool:
    """Any name that MLflow takes; v1's own rule is kept by the SDK, for experiments that it makes."""
    return 0 < len(name) <= MAX_EXPERIMENT_NAME and "\0" not in name


def check_experiment_name(name: str) -> None:
    if not is_experiment_name(name):
        raise Invalid(
            "bad_experiment_name",
            f"Experiment name {name[:80]!r} can't be used: it needs 1 to {MAX_EXPERIMENT_NAME} characters, none of them "
            "NUL.",
        )


def check_target(target: str) -> None:
    if not _TARGET.fullmatch(target):
        raise Invalid("bad_target", f"{target[:80]!r} can't be the name of a compute target.")


def check_text(what: str, value: str, limit: int = MAX_TEXT) -> None:
    if len(value) > limit:
        raise Invalid(
            "too_long", f"{what} has {len(value)} characters; at most {limit} are kept.", limit=limit
        )
    if "\0" in value:
        raise Invalid("bad_text", f"{what} holds a NUL character.")


def check_labels(what: str, given: Mapping[str, str], max_value: int) -> None:
    """`what` is "tag", "property" or "parameter", for the message."""
    for key, value in given.items():
        if not key:
            raise Invalid("bad_label", f"A {what} needs a name.")
        check_text(f"The name {key[:80]!r} of a {what}", key, MAX_KEY)
        check_text(f"The value of {what} {key!r}", value, max_value)


def check_count(what: str, given: Mapping[str, str], limit: int = MAX_LABELS) -> None:
    if len(given) > limit:
        raise Invalid("too_many", f"{len(given)} {what} are over the limit of {limit} a run.", limit=limit)


def check_tags(given: Mapping[str, str]) -> None:
    check_labels("tag", given, MAX_TAG_VALUE)
    check_count("tags", given)


def check_properties(given: Mapping[str, str]) -> None:
    check_labels("property", given, MAX_PROPERTY_VALUE)
    check_count("properties", given)


def check_params(given: Mapping[str, str]) -> None:
    check_labels("parameter", given, MAX_PARAM_VALUE)
    check_count("parameters", given, MAX_PARAMS)


def parse_label(text: str) -> tuple[str, str | None]:
    """`k` or `k=v` of a query."""
    check_text("A filter", text, MAX_KEY + MAX_PROPERTY_VALUE)
    key, equals, value = text.partition("=")
    return key, value if equals else None
