"""Conda channels: where each lies, and whether it answers now."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

DEFAULT = "conda-forge"  # where a specification names none
_NAMES_AT = "https://conda.anaconda.org"
_ANACONDA_AT = "https://repo.anaconda.com"  # where conda's own `defaults` and `pkgs/…` lie
_NOT_ONE = "nodefaults"  # conda's word for: none but those named here

_ANSWER_S = 2.0  # for all channels of a build together, looking up their names included
_REMEMBER_S = 600.0
_TRUE = ("1", "true", "yes", "on", "y")


@dataclass(frozen=True)
class Channel:
    """A channel as a specification names it, and its address (http, https or file, no slash at the end)."""

    name: str
    address: str


def resolve(names: list[str], environ: Mapping[str, str]) -> list[Channel]:
    """The channels that are meant, in their order, each once. A name lies under conda's own setting
    CONDA_CHANNEL_ALIAS; `defaults` is Anaconda's main channel."""
    alias = environ.get("CONDA_CHANNEL_ALIAS", "").strip() or _NAMES_AT
    found: dict[str, Channel] = {}
    for name in names:
        if name == _NOT_ONE:
            continue
        if "://" in name:
            address = name
        elif name.startswith("/"):
            address = Path(name).as_uri()
        elif name == "defaults":
            address = f"{_ANACONDA_AT}/pkgs/main"
        elif name.startswith("pkgs/"):
            address = f"{_ANACONDA_AT}/{name}"
        else:
            address = f"{alias.rstrip('/')}/{name}"
        found.setdefault(address.rstrip("/"), Channel(name, address.rstrip("/")))
    return list(found.values())


class Channels:
    """Asks channels for their repodata, and remembers for ten minutes which of them did not answer."""

    def __init__(
        self, environ: Mapping[str, str] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.environ = os.environ if environ is None else environ
        self._clock = clock
        self._silent: dict[str, tuple[float, str]] = {}

    def complaint(self, channels: list[Channel]) -> str:
        """About the first channel that does not answer now, with the error; empty when all do. Takes 2 s at most."""
        asked = {
            c: _Question(c.address) for c in channels if self._known(c) is None and not self._is_barred(c)
        }
        until = time.monotonic() + _ANSWER_S
        for channel, question in asked.items():
            said = question.wait(until - time.monotonic())
            if said and urlsplit(channel.address).scheme != "file":
                self._silent[channel.address] = (self._clock(), said)
            if said:
                return f"channel {channel.name} does not answer: {said}"
        for channel in channels:
            known = self._known(channel)
            if self._is_barred(channel):
                return f"channel {channel.name} is not asked: CONDA_OFFLINE is set"
            if known is not None:
                since, said = known
                return f"channel {channel.name} did not answer {self._clock() - since:.0f} s ago: {said}"
        return ""

    def _is_barred(self, channel: Channel) -> bool:
        offline = self.environ.get("CONDA_OFFLINE", "").strip().lower() in _TRUE
        return offline and urlsplit(channel.address).scheme != "file"

    def _known(self, channel: Channel) -> tuple[float, str] | None:
        known = self._silent.get(channel.address)
        return known if known is not None and self._clock() - known[0] < _REMEMBER_S else None


class _Question:
    """One channel asked, in a thread of its own: the look-up of a name can't be given a time limit."""

    def __init__(self, address: str) -> None:
        self._said: str | None = None
        self._thread = threading.Thread(target=self._ask, args=(address,), name="ask-channel", daemon=True)
        self._thread.start()

    def wait(self, limit_s: float) -> str:
        self._thread.join(max(0.0, limit_s))
        return f"no answer within {_ANSWER_S:.0f} s" if self._said is None else self._said

    def _ask(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme == "file":
            file = Path(unquote(parts.path)) / "noarch" / "repodata.json"
            known = any(file.with_name(file.name + suffix).is_file() for suffix in ("", ".zst", ".bz2"))
            self._said = "" if known else f"there is no {file}"
        elif parts.scheme in ("http", "https"):
            # Imported here: an agent that asks no channel need not load TLS.
            from modelyard.node.environments import channel_over_http

            self._said = channel_over_http.complaint(address, _ANSWER_S)
        else:
            self._said = f"{parts.scheme}:// is not among the addresses that are asked (https, http, file)"
