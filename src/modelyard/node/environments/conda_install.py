"""The installer of conda packages: a program of its own, so that py-rattler's 80 MB stay out of the agent, and what
it does can be stopped and waited for like uv.

It reads a file `{"prefix", "channels": [[name, address]], "attempts": [{"specs", "strict"}], "packages": [CondaPackage]}`:
either the specs of the first attempt that has a solution are installed (`strict`: a package comes from the first channel
that has it), or exactly those packages. What it does goes to its output; a failure ends it with `error: ` and the
solver's words, and code 1.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rattler import (
    BuildString,
    Channel,
    ChannelPriority,
    Client,
    Gateway,
    MatchSpec,
    PackageRecord,
    RepoDataRecord,
    VirtualPackage,
    exceptions,
    install,
    solve,
)
from rattler.install import InstallerReporter

_FAILURES = (
    exceptions.DetectVirtualPackageError,
    exceptions.ExtractError,
    exceptions.FetchRepoDataError,
    exceptions.GatewayError,
    exceptions.InstallerError,
    exceptions.InvalidChannelError,
    exceptions.InvalidMatchSpecError,
    exceptions.InvalidUrlError,
    exceptions.InvalidVersionError,
    exceptions.IoError,
    exceptions.LinkError,
    exceptions.SolverError,
    exceptions.TransactionError,
    OSError,
)


class Damaged(OSError):
    """A package is not the one that the lock means."""


def main(file: str) -> int:
    wanted = json.loads(Path(file).read_bytes())
    try:
        asyncio.run(_install(wanted))
    except _FAILURES as error:
        print(f"error: {str(error).rstrip()}")
        return 1
    return 0


async def _install(wanted: dict[str, Any]) -> None:
    client = Client.default_client()
    cache = _cache()
    if wanted["packages"]:
        records = [_record(package) for package in wanted["packages"]]
    else:
        records = await _solve(wanted, client, cache)
    began = time.monotonic()
    await install(
        records, wanted["prefix"], cache_dir=cache / "pkgs", client=client, show_progress=False,
        reporter=_Told(),  # type: ignore[abstract]  # the protocol has defaults for the rest
    )  # fmt: skip
    print(f"Installed {len(records)} conda packages in {time.monotonic() - began:.1f} s")
    names = {address: f" ({name})" for name, address in wanted["channels"]}
    for record in sorted(records, key=lambda r: r.name.normalized):
        where = names.get(str(record.channel or "").rstrip("/"), "")
        print(f" + {record.name.normalized}=={record.version} {record.build}{where}")


async def _solve(wanted: dict[str, Any], client: Client, cache: Path) -> list[RepoDataRecord]:
    for name, address in wanted["channels"]:
        print(f"Channel {name} ({address})" if name != address else f"Channel {address}")
    channels = [Channel(address) for _, address in wanted["channels"]]
    gateway = Gateway(cache_dir=cache / "repodata", client=client)
    *others, last = wanted["attempts"]
    for attempt in others:
        try:
            return await _attempt(attempt, channels, gateway)
        except exceptions.SolverError as error:
            print(f"No solution: {str(error).rstrip()}")
    return await _attempt(last, channels, gateway)


async def _attempt(
    attempt: dict[str, Any], channels: list[Channel], gateway: Gateway
) -> list[RepoDataRecord]:
    began = time.monotonic()
    print(
        f"Solving for {', '.join(attempt['specs'])}"
        + ("" if attempt["strict"] else ", all channels being equal")
    )
    records = await solve(
        channels, [MatchSpec(text) for text in attempt["specs"]], gateway=gateway,
        virtual_packages=VirtualPackage.detect(),
        channel_priority=ChannelPriority.Strict if attempt["strict"] else ChannelPriority.Disabled,
    )  # fmt: skip
    print(f"Solved in {time.monotonic() - began:.1f} s")
    return records


def _record(package: dict[str, str]) -> RepoDataRecord:
    """A locked package. Over HTTP py-rattler compares its hash with the lock's; of a file it does not. Raises Damaged."""
    digest = package["sha256"]
    if digest and package["url"].startswith("file:"):
        with open(unquote(urlsplit(package["url"]).path), "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            raise Damaged(
                f"{package['url']} is not the package that the lock means: its SHA-256 is {found}, not {digest}."
            )
    return RepoDataRecord(
        PackageRecord(
            package["name"], package["version"], BuildString(package["build"]), 0, package["subdir"],
            sha256=bytes.fromhex(digest) if digest else None,
        ),
        package["file"], package["url"], package["url"].rsplit("/", 2)[0] + "/",
    )  # fmt: skip


def _cache() -> Path:
    """Where py-rattler and all that is made of it keep what they have fetched."""
    chosen = os.environ.get("RATTLER_CACHE_DIR")
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(chosen or os.path.join(caches, "rattler", "cache"))


class _Told(InstallerReporter):
    """Tells of each download as it begins, since one may take minutes."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        self._names.append(package_name)
        return len(self._names) - 1

    def on_download_start(self, cache_entry: int) -> int:
        sys.stdout.write(f"Downloading {self._names[cache_entry]}\n")  # at once, as several threads come here
        return cache_entry


if __name__ == "__main__":
    # Whatever this machine's locale is, the solver draws with more than ASCII.
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)  # type: ignore[union-attr]  # it is a pipe
    code = main(sys.argv[1])
    sys.stdout.flush()
    # Not sys.exit: in 4 of 150 runs a thread of py-rattler's crashed the interpreter while that was shutting down.
    os._exit(code)
