"""What may be registered, run and reported, apart from what lines of requirements may hold (wire/environment_hash)."""

from __future__ import annotations

import re

from modelyard.server.environments import curated
from modelyard.server.kernel.errors import Invalid
from modelyard.wire.environment_hash import spec_problem
from modelyard.wire.environments import EnvironmentSpec

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_. -]{0,253}[A-Za-z0-9_.-])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}")
_HASH = re.compile(r"[0-9a-f]{64}")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def is_version(text: str) -> bool:
    return _VERSION.fullmatch(text) is not None


def check_registration(spec: EnvironmentSpec) -> None:
    """Raises Invalid for a name, version or content that can't be registered."""
    if not is_name(spec.name):
        raise Invalid(
            "bad_environment_name",
            f"Environment name {spec.name[:80]!r} can't be used: it needs 1 to 255 letters, digits, '_', '-', '.' or spaces "
            "and begins with a letter, a digit or '_'.",
        )
    if curated.is_reserved(spec.name):
        raise Invalid(
            "reserved_name",
            f"Environment name {spec.name!r} is reserved: names that begin with AzureML or Microsoft are the curated ones. "
            "Clone it under a name of your own: env.clone('my-env').",
        )
    if spec.version and not is_version(spec.version):
        raise Invalid(
            "bad_environment_version",
            f"Environment version {spec.version[:80]!r} can't be used: it needs 1 to 64 letters, digits, '_', '-' or '.'.",
        )
    check_content(spec)


def check_content(spec: EnvironmentSpec) -> None:
    """Raises Invalid for what no node could or should build."""
    label = f"Environment {spec.name[:80]!r}: " if spec.name else ""
    problem = spec_problem(spec)
    if problem:
        raise Invalid("bad_environment", label + problem)
    for name, value in spec.variables.items():
        if not _VARIABLE.fullmatch(name):
            raise Invalid("bad_variable", f"{label}{name[:80]!r} can't name an environment variable.")
        if "\0" in value:
            raise Invalid("bad_variable", f"{label}the value of variable {name!r} holds a NUL character.")


def is_build_hash(text: str) -> bool:
    return _HASH.fullmatch(text) is not None


def check_build(node: str, content_hash: str) -> None:
    if not _NODE.fullmatch(node):
        raise Invalid("bad_node_name", f"{node[:80]!r} can't be the name of a node.")
    if not is_build_hash(content_hash):
        raise Invalid(
            "bad_build_hash", "The content hash of an environment is 64 lower-case hexadecimal digits."
        )
