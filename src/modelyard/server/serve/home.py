"""The yard's home directory: who runs here, its secrets, and where it listens."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from modelyard.server.kernel.errors import Invalid
from modelyard.server.kernel.ids import new_token
from modelyard.server.serve import processes
from modelyard.version import VERSION


@dataclass(frozen=True)
class YardRecord:
    """What yard.json says. `start` names the process beside its pid, which may be used again."""

    url: str
    pid: int
    start: str
    version: str = VERSION

    @property
    def is_alive(self) -> bool:
        return processes.is_alive(self.pid, self.start)


def prepare(home: Path) -> None:
    """Make the directories, for their owner alone. Raises Invalid, naming the path, where that can't be."""
    try:
        _own_directory(home)
        for name in ("logs", "node", "node/logs"):
            (home / name).mkdir(mode=0o700, exist_ok=True)
        if not os.access(home, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13), str(home))
    except OSError as error:
        raise Invalid(
            "bad_home",
            f"The home {home} can't be used: {error.strerror}. Choose another with --home or MODELYARD_HOME.",
        ) from error


def _own_directory(home: Path) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    mine = home.stat().st_uid == os.geteuid()
    # A directory that held other things before is somebody's: its mode stays, and our files are private.
    foreign = any(home.iterdir()) and not any((home / n).exists() for n in ("owner.token", "config.toml"))
    if mine and not foreign and stat.S_IMODE(home.stat().st_mode) & 0o077:
        home.chmod(0o700)


def private_file(file: Path) -> None:
    """Make an empty file that only its owner can read, unless it is there."""
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def token(file: Path, prefix: str) -> str:
    """The secret in `file`; a random one is made at first start, readable by its owner alone.

    Raises Invalid for a file that is empty or readable by others.
    """
    fresh = new_token(prefix)
    draft = file.with_name(f".{file.name}.{os.urandom(6).hex()}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(fresh + "\n")
            stream.flush()
            os.fsync(descriptor)
        # A link fails where the name exists: nobody ever sees half a token, and an old one is never replaced.
        os.link(draft, file)
        return fresh
    except FileExistsError:
        return _read_token(file)
    finally:
        draft.unlink(missing_ok=True)


def _read_token(file: Path) -> str:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        raise Invalid(
            "open_token",
            f"{file} is readable by others (mode {mode:04o}). Run: chmod 600 {file}",
        )
    text = file.read_text("utf-8").strip()
    if not text:
        raise Invalid("empty_token", f"{file} is empty. Remove it and start again: a new token is made.")
    return text


def lock(home: Path) -> int | None:
    """Take the home for this process until it ends; None when another yard has it."""
    descriptor = os.open(home / "yard.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def write_record(home: Path, url: str) -> YardRecord:
    record = YardRecord(url, os.getpid(), processes.start_time(os.getpid()))
    draft = home / f".yard.json.{os.getpid()}"
    draft.write_text(json.dumps(asdict(record)) + "\n", "utf-8")
    draft.replace(home / "yard.json")
    return record


def write_stores(home: Path, stores: dict[str, str]) -> None:
    draft = home / f".stores.json.{os.getpid()}"
    draft.write_text(json.dumps(stores) + "\n", "utf-8")
    draft.replace(home / "stores.json")


def other_stores(home: Path, stores: dict[str, str]) -> str:
    """What a person should know whose last start here had another database or blob store; empty when it had not.

    A flag is for one start, and a start without it finds a yard that looks empty.
    """
    try:
        last = json.loads((home / "stores.json").read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    changed = [
        f"{name} {last[name]}, now {now}"
        for name, now in stores.items()
        if isinstance(last, dict) and last.get(name, now) != now
    ]
    if not changed:
        return ""
    return (
        f"The last start of this home had {'; '.join(changed)}. What was kept there is not shown here; "
        "database and blobs in config.toml hold for every start."
    )


def read_record(home: Path) -> YardRecord | None:
    """Who runs on this home by its own word; None without yard.json. Check `is_alive`."""
    try:
        value = json.loads((home / "yard.json").read_text("utf-8"))
        return YardRecord(
            str(value["url"]), int(value["pid"]), str(value["start"]), str(value.get("version", ""))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_record(home: Path) -> None:
    """Take yard.json away if it is ours."""
    record = read_record(home)
    if record is not None and record.pid == os.getpid():
        (home / "yard.json").unlink(missing_ok=True)
