"""What a web service may be called and asked for. Pure; raises Invalid saying what would do."""

from __future__ import annotations

import re
from collections.abc import Iterable

from modelyard.server.kernel.errors import Invalid
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.endpoints import EndpointCreate, EndpointUpdate, ServiceSpec

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{1,30}[a-z0-9])")
_KEY = re.compile(r"[\x21-\x7e]{1,256}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
COMPUTE_TYPES = ("LOCAL", "ACI", "AKS")
NO_CODE_FRAMEWORKS = ("ScikitLearn", "Onnx", "TensorFlow")
MAX_REPLICAS = 64


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Invalid(
            "bad_endpoint_name",
            f"{name!r} can't name a web service: use 3 to 32 lower-case letters, digits and dashes, "
            "beginning with a letter and ending with a letter or digit.",
        )


def check_key(which: str, key: str) -> None:
    if key and not _KEY.fullmatch(key):
        raise Invalid(
            "bad_key", f"The {which} key must be 1 to 256 printable ASCII characters without spaces."
        )


def check_create(body: EndpointCreate) -> None:
    check_name(body.name)
    if body.compute_type not in COMPUTE_TYPES:
        raise Invalid(
            "bad_compute_type",
            f"Compute type {body.compute_type!r} is not one of {', '.join(COMPUTE_TYPES)}.",
        )
    check_key("primary", body.primary_key)
    check_key("secondary", body.secondary_key)
    check_text("description", body.description)
    check_labels("tag", body.tags)
    check_labels("property", body.properties)


def check_update(body: EndpointUpdate) -> None:
    check_text("description", body.description or "")
    check_labels("tag", body.set_tags)
    check_labels("property", body.add_properties)


def check_text(what: str, text: str) -> None:
    if "\0" in text:
        raise Invalid("bad_text", f"The {what} holds a NUL character, which can't be kept.")


def check_labels(what: str, labels: dict[str, str]) -> None:
    for key, value in labels.items():
        if not key:
            raise Invalid("bad_label", f"A {what} has an empty name.")
        check_text(f"{what} {key!r}", key + value)


def check_spec(spec: ServiceSpec) -> None:
    """Everything that can be told without looking anything up."""
    if not spec.models and not spec.entry_script:
        raise Invalid("nothing_to_serve", "A web service needs a model, an entry script, or both.")
    if not 1 <= spec.replicas <= MAX_REPLICAS:
        raise Invalid("bad_replicas", f"replicas must be 1 to {MAX_REPLICAS}, not {spec.replicas}.")
    if not 0 <= spec.port <= 65535:
        raise Invalid("bad_port", f"port must be 0 (any free one) to 65535, not {spec.port}.")
    if not 0 < spec.scoring_timeout_s <= 86_400:
        raise Invalid(
            "bad_timeout",
            f"scoring_timeout_s must be over 0 and at most 86400, not {spec.scoring_timeout_s}.",
        )
    if not 0 < spec.max_body_bytes <= 1 << 40:
        raise Invalid("bad_limit", f"max_body_bytes must be 1 to {1 << 40}, not {spec.max_body_bytes}.")
    if len(set(spec.models)) != len(spec.models):
        raise Invalid("model_twice", "A model is named twice; name each once.")
    for name, value in spec.variables.items():
        if not _VARIABLE.fullmatch(name):
            raise Invalid("bad_variable", f"{name!r} can't name an environment variable.")
        check_text(f"environment variable {name}", value)


def check_entry_script(entry_script: str, entries: Iterable[FileEntry]) -> None:
    """The entry script must be a file of the source directory as it was sent."""
    paths = sorted(entry.path for entry in entries)
    if entry_script in paths:
        return
    shown = ", ".join(paths[:20]) + (f" and {len(paths) - 20} more" if len(paths) > 20 else "")
    raise Invalid(
        "no_entry_script",
        f"Entry script {entry_script!r} is not in the source directory. It holds: {shown or 'nothing'}. "
        "What .amlignore or .gitignore names is left out.",
    )


def check_no_code(frameworks: list[str]) -> None:
    """The scoring host has an entry of its own for one model of these frameworks."""
    if len(frameworks) != 1 or frameworks[0] not in NO_CODE_FRAMEWORKS:
        raise Invalid(
            "entry_script_required",
            f"Without an entry script one model that MLflow wrote, or of framework {', '.join(NO_CODE_FRAMEWORKS)}, can be "
            f"served, not {', '.join(frameworks) or 'none'}. Give an entry script.",
        )


def split_model_id(model_id: str) -> tuple[str, int | None]:
    """`name:version`, `name:latest` or `name` (the newest)."""
    name, colon, version = model_id.rpartition(":")
    if not colon:
        name, version = model_id, "latest"
    if not name or not (
        version == "latest" or (version.isascii() and version.isdigit() and len(version) < 10)
    ):
        raise Invalid(
            "bad_model_id", f"{model_id!r} is not a model id. Write NAME:VERSION, for example 'digits:3'."
        )
    return name, None if version == "latest" else int(version)
