"""Settings of a yard and where each came from: flag over environment variable over config.toml over default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from modelyard.server.kernel.errors import Invalid


@dataclass(frozen=True)
class Settings:
    """`home` holds everything a yard keeps on this machine. `database` and `blobs` empty mean SQLite and plain files
    under home. `slots` is how many runs `local` runs at once; 0 means one a core."""

    home: Path
    host: str = "127.0.0.1"
    port: int = 7070
    database: str = ""
    blobs: str = ""
    slots: int = 0
    allowed_hosts: str = ""  # comma-separated names under which a proxy shows the yard
    lease_s: float = 30.0  # a run host is NotResponding after this long without a sign of life
    lost_after_s: float = 600.0  # and its run is Failed after this long
    trash_days: float = 30.0  # after which the trash is emptied; 0: by hand only
    sql_time_s: float = 60.0  # what one query in SQL may take
    sql_memory_mib: int = 1024
    log_level: str = "info"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.home / 'yard.db'}"

    @property
    def blobs_url(self) -> str:
        return self.blobs or (self.home / "blobs").as_uri()

    @property
    def stores(self) -> dict[str, str]:
        """Where what people make is kept, in words without secrets."""
        return {
            "database": without_secrets(self.database) or "SQLite in the home",
            "blobs": without_secrets(self.blobs) or "files in the home",
        }

    @property
    def owner_token_file(self) -> Path:
        return self.home / "owner.token"

    @property
    def node_token_file(self) -> Path:
        return self.home / "node" / "node.token"


def without_secrets(url: str) -> str:
    """The URL without user, password and query."""
    scheme, separator, rest = url.partition("?")[0].partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"[:200]


@dataclass(frozen=True)
class Origin:
    """One setting, its value and where the value came from: `flag`, `MODELYARD_PORT`, a file's path or `default`."""

    name: str
    value: Any
    origin: str


def default_home(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get("MODELYARD_HOME") or Path("~/.modelyard")).expanduser().absolute()


def load(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> tuple[Settings, list[Origin]]:
    """Settle every setting. `flags` hold what the command line gave (None: not given).

    Raises Invalid, naming the setting and its origin, for a value that does not fit or an unknown key in the file.
    """
    home = Path(flags.get("home") or default_home(environ)).expanduser().absolute()
    home_origin = (
        "flag" if flags.get("home") else "MODELYARD_HOME" if environ.get("MODELYARD_HOME") else "default"
    )
    file = home / "config.toml"
    from_file = _read(file)
    values: dict[str, Any] = {"home": home}
    origins = [Origin("home", str(home), home_origin)]
    known = {f.name: f for f in fields(Settings) if f.name != "home"}
    unknown = sorted(set(from_file) - set(known))
    if unknown:
        raise Invalid(
            "unknown_setting", f"{file}: unknown setting {unknown[0]!r}. Known: {', '.join(sorted(known))}."
        )
    for name, field in known.items():
        variable = f"MODELYARD_{name.upper()}"
        if flags.get(name) is not None:
            value, origin = flags[name], "flag"
        elif environ.get(variable):
            value, origin = environ[variable], variable
        elif name in from_file:
            value, origin = from_file[name], str(file)
        else:
            value, origin = field.default, "default"
        values[name] = _coerce(name, value, type(field.default), origin)
        origins.append(Origin(name, values[name], origin))
    return Settings(**values), origins


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}  # a home that can't be one is told when it is made
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid("bad_config_file", f"{file} is not valid TOML: {error}. Mend or remove it.") from error


# What a number must be at least; a lease of nought would end every run.
_LEAST = {
    "port": 0,
    "slots": 0,
    "lease_s": 1.0,
    "lost_after_s": 1.0,
    "trash_days": 0.0,
    "sql_time_s": 1.0,
    "sql_memory_mib": 64,
}
_KINDS = {int: "a whole number", float: "a number", str: "a text"}


def _coerce(name: str, value: Any, kind: type, origin: str) -> Any:
    try:
        # TOML has types of its own: what is no number there is none here, and 1.7 slots are not 1.
        fits = isinstance(value, (str, kind)) or (kind is float and isinstance(value, int))
        made = kind(value) if fits and not isinstance(value, bool) else None
    except ValueError:
        made = None
    if made is None:
        raise Invalid("bad_setting", f"Setting {name!r} from {origin} must be {_KINDS[kind]}, got {value!r}.")
    if not made >= _LEAST.get(name, made):
        raise Invalid(
            "bad_setting", f"Setting {name!r} from {origin} must be {_LEAST[name]:g} or more, got {value!r}."
        )
    return made
