"""What git says of a source directory, under v1's property names."""

from __future__ import annotations

import os
import subprocess
import urllib.parse
from typing import Dict, List, Mapping, Optional

_TIMEOUT_S = 10.0  # a repository on a sleeping network disk must not hold up a submit
MAX_DIFF_BYTES = 4 << 20

_PROPERTIES = {
    "REPOSITORY_URI": ("azureml.git.repository_uri", "mlflow.source.git.repoURL"),
    "BRANCH": ("azureml.git.branch", "mlflow.source.git.branch"),
    "COMMIT": ("azureml.git.commit", "mlflow.source.git.commit"),
    "DIRTY": ("azureml.git.dirty",),
    "BUILD_ID": ("azureml.git.build_id",),
    "BUILD_URI": ("azureml.git.build_uri",),
}


def properties(directory: str, environ: Mapping[str, str] = os.environ) -> Dict[str, str]:
    """A run's git properties; empty outside a repository or without git. `AZUREML_GIT_*` variables win."""
    found = _from_repository(directory)
    for name in _PROPERTIES:
        given = environ.get("AZUREML_GIT_" + name)
        if given:
            found[name] = without_credentials(given) if name.endswith("URI") else given
    return {key: value for name, value in found.items() for key in _PROPERTIES[name]}


def dirty_diff(directory: str) -> bytes:
    """What is changed below the directory against the last commit, at most MAX_DIFF_BYTES and then a line that says so.

    Empty when nothing is changed or there is no commit to compare with. New files are named at the end: the snapshot
    has their text.
    """
    diff = _git(directory, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "HEAD", "--", ".")
    if diff is None:
        return b""
    new = _git(directory, "ls-files", "--others", "--exclude-standard", "--", ".") or b""
    if new:
        diff += b"".join(b"# new file: " + name + b"\n" for name in new.splitlines())
    if len(diff) > MAX_DIFF_BYTES:
        cut = diff[:MAX_DIFF_BYTES]
        diff = cut[: cut.rfind(b"\n") + 1] + f"# cut here: {len(diff)} bytes in all\n".encode("ascii")
    return diff


def without_credentials(uri: str) -> str:
    """The URI without user, password and query of a web address; scp-like addresses (`git@host:path`) stay."""
    if "://" not in uri:
        return uri
    try:
        parts = urllib.parse.urlsplit(uri)
    except ValueError:
        return ""  # what can't be read can't be cleaned
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme in ("ssh", "git+ssh") and parts.username:
        host = parts.username + "@" + host  # the account's name is part of an ssh address and opens nothing
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def _from_repository(directory: str) -> Dict[str, str]:
    # One call tells whether we are in a repository and what is checked out.
    status = _git(directory, "status", "--porcelain=v2", "--branch", "--", ".")
    if status is None:
        return {}
    found: Dict[str, str] = {}
    dirty = False
    upstream = ""
    for line in status.decode("utf-8", "replace").splitlines():
        if line.startswith("# branch.oid ") and not line.endswith("(initial)"):
            found["COMMIT"] = line[len("# branch.oid ") :]
        elif line.startswith("# branch.head ") and not line.endswith("(detached)"):
            found["BRANCH"] = line[len("# branch.head ") :]
        elif line.startswith("# branch.upstream "):
            upstream = line[len("# branch.upstream ") :].partition("/")[0]
        elif not line.startswith("#"):
            dirty = True
    found["DIRTY"] = str(dirty)
    uri = _remote(directory, upstream)
    if uri:
        found["REPOSITORY_URI"] = without_credentials(uri)
    return found


def _remote(directory: str, upstream: str) -> str:
    """The address of the remote the branch follows, else of origin, else of the only one."""
    listed = _git(directory, "config", "--get-regexp", r"^remote\..*\.url$") or b""
    remotes: Dict[str, str] = {}
    for line in listed.decode("utf-8", "replace").splitlines():
        key, _, uri = line.partition(" ")
        remotes.setdefault(key[len("remote.") : -len(".url")], uri)
    if len(remotes) == 1:
        return next(iter(remotes.values()))
    return remotes.get(upstream) or remotes.get("origin", "")


def _git(directory: str, *arguments: str) -> Optional[bytes]:
    """What `git` answers; None when it fails, is missing or takes too long."""
    command: List[str] = ["git", "-C", directory, "-c", "core.fsmonitor=false", *arguments]
    # No lock is taken on the user's index, and nothing waits for a password.
    environment = dict(os.environ, GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0")
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
