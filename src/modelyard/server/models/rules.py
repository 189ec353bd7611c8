"""What models, stages and aliases may be called. Pure; raises Invalid saying what would do."""

from __future__ import annotations

import re

from modelyard.server.kernel.errors import Invalid
from modelyard.wire.models import STAGES
from modelyard.wire.trees import path_problem

MAX_NAME = 255
_ALIAS = re.compile(r"[\w-]{1,255}")
_NUMBER_ALIAS = re.compile(r"[vV]?[0-9]+")
_ACTIVE = ("Staging", "Production")


def name_problem(name: str) -> str:
    """Why `name` can't name a model, as the end of a sentence; empty when it can. A model's files lie in a directory of
    its name, and `name:version` is its id."""
    if not name.strip():
        return "is empty"
    if len(name) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    if "/" in name or ":" in name:
        return "holds '/' or ':'"
    return path_problem(name)


def check_name(name: str) -> None:
    problem = name_problem(name)
    if problem:
        shown = name[:300].encode("utf-8", "backslashreplace").decode("utf-8")
        raise Invalid(
            "bad_model_name",
            f"Model name {shown!r} can't be used: it {problem}. Letters, digits, '.', '-' and '_' always do.",
        )


def stage(given: str) -> str:
    """The stage that is meant, whatever its case. Raises Invalid."""
    for known in STAGES:
        if given.lower() == known.lower():
            return known
    raise Invalid(
        "bad_stage", f"Invalid Model Version stage: {given[:100]}. Value must be one of {', '.join(STAGES)}."
    )


def check_archives(stage: str) -> None:
    """Only a stage that one version is meant to hold can push the others out of it."""
    if stage not in _ACTIVE:
        raise Invalid(
            "bad_stage",
            f"Versions in stage {stage!r} can't be archived along with the move: that goes with {' and '.join(_ACTIVE)}.",
        )


def check_alias(alias: str) -> None:
    if not _ALIAS.fullmatch(alias):
        raise Invalid(
            "bad_alias",
            f"Alias {alias[:300]!r} can't be used: it needs 1 to 255 letters, digits, '-' and '_'.",
        )
    if alias.lower() == "latest" or _NUMBER_ALIAS.fullmatch(alias):
        raise Invalid("bad_alias", f"Alias {alias!r} can't be used: it reads like a version.")
