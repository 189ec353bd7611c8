"""up, down, status: the yard's processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from modelyard.cli.failures import FAILED, REFUSED, UNREACHABLE, USAGE, Failure
from modelyard.cli.lazy import YardCommand
from modelyard.cli.output import print_record, say, wants_json

_START_PATIENCE_S = 60.0  # a first start migrates a database that may be far away
_STOP_GRACE_S = 20.0


@click.command(cls=YardCommand)
@click.option("--host", help="Address to listen on. Default: 127.0.0.1, this machine only.")
@click.option("--port", type=int, help="Port to listen on; 0 for any free one. Default: 7070.")
@click.option("--database", metavar="URL", help="postgresql://… instead of SQLite in the home.")
@click.option("--blobs", metavar="URL", help="s3://…, az://… or gs://… instead of files in the home.")
@click.option(
    "--slots", type=click.IntRange(min=0), help="Runs that `local` runs at once. Default: one a core."
)
@click.option("--allowed-hosts", metavar="NAMES", help="Names under which a proxy shows the yard, by commas.")
@click.option("--detach", is_flag=True, help="Start in the background and return once the yard answers.")
@click.option(
    "--free-port", is_flag=True, help="With --detach: where the default port is taken, any free one."
)
def up(detach: bool, free_port: bool, **flags: Any) -> None:
    """Start the yard.

    Everything it keeps is in its home. A yard that runs already is told about and left alone.
    """
    from modelyard.server.kernel.settings import load

    if free_port and not detach:
        raise click.UsageError("--free-port needs --detach")
    settings, origins = load({"home": None, **flags})
    running = _running(settings.home)
    if running is not None:
        _tell_running(settings.home, running, flags)
        return
    from modelyard.server.serve.home import other_stores

    note = other_stores(settings.home, settings.stores)
    if note:
        say(note)
    if not detach:
        _serve_here(settings)
        return
    start = _start_on_any_port if free_port and _is_default(origins, "port") else _start_detached
    _tell_up(settings.home, *start(settings.home, flags))


def ensure_up(port: int | None) -> str:
    """The URL of the yard on this home, started in the background where none runs.

    Without a port of one's own, a taken default port is no obstacle: a free one is taken.
    """
    from modelyard.server.kernel.settings import load

    flags = {"port": port}
    settings, origins = load(flags)
    running = _running(settings.home)
    if running is not None:
        return str(running.url)
    start = _start_on_any_port if _is_default(origins, "port") else _start_detached
    return start(settings.home, flags)[0]


def _is_default(origins: Sequence[Any], name: str) -> bool:
    return any(o.name == name and o.origin == "default" for o in origins)


def _start_on_any_port(home: Path, flags: dict[str, Any]) -> tuple[str, int]:
    try:
        return _start_detached(home, flags)
    except Failure as failure:
        if failure.exit_code != REFUSED:
            raise
        return _start_detached(home, {**flags, "port": 0})


def _serve_here(settings: Any) -> None:
    from modelyard.server.serve import process as serve

    def ready(record: Any) -> None:
        _tell_up(settings.home, record.url, record.pid)
        say("Ctrl-C stops it.")

    serve.log_to(settings, None)
    try:
        serve.serve(settings, ready)
    except serve.AlreadyRunning as error:
        raise Failure(error.detail, REFUSED) from error


def _start_detached(home: Path, flags: dict[str, Any]) -> tuple[str, int]:
    """Start the yard's process and wait until it answers or says why it can't. Answers its URL and pid."""
    from modelyard.server.serve import home as homes

    homes.prepare(home)
    reading, writing = os.pipe()
    log = home / "logs" / "yard.log"
    homes.private_file(log)
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelyard.server.serve", "--ready-fd", str(writing)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[writing],
            start_new_session=True,
            cwd="/",
        )
    os.close(writing)
    assert process.stdin is not None
    # By a pipe, not as arguments: a database URL may hold a password, and arguments are seen by all.
    process.stdin.write(json.dumps({"home": str(home), **flags}).encode())
    process.stdin.close()
    with open(reading, encoding="utf-8") as answers:
        line = answers.readline()
    process.returncode = 0  # it goes on without us: no warning about a child not waited for
    answer = json.loads(line) if line else {}
    if "url" in answer:
        return answer["url"], answer["pid"]
    if answer.get("code") == "already_running":
        record = _wait_for_other(home)
        if record is not None:
            return record.url, record.pid
    said = answer.get("error") or f"The yard did not start: {_last_line(log)} (see {log})"
    raise Failure(" ".join(said.split()), _start_code(answer))


def _start_code(answer: dict[str, Any]) -> int:
    code = answer.get("code", "")
    if code in ("port_taken", "already_running"):
        return REFUSED
    return USAGE if code.startswith(("bad_", "unknown_", "open_", "empty_")) else FAILED


def _wait_for_other(home: Path) -> Any:
    """Somebody else is starting on this home at the same moment: their yard is as good as ours."""
    deadline = time.monotonic() + _START_PATIENCE_S
    while time.monotonic() < deadline:
        record = _running(home)
        if record is not None:
            return record
        time.sleep(0.05)
    return None


def _running(home: Path) -> Any:
    """The record of the living yard on this home, or None."""
    from modelyard.server.serve import home as homes

    record = homes.read_record(home)
    return record if record is not None and record.is_alive else None


def _tell_up(home: Path, url: str, pid: int) -> None:
    if wants_json():
        print_record([], {"url": url, "pid": pid, "home": str(home), "already_running": False})
        return
    click.echo(f"The yard answers at {url}  (home {home}, pid {pid})")


def _tell_running(home: Path, record: Any, flags: dict[str, Any]) -> None:
    if not _health(record.url):
        raise Failure(
            f"A yard is running on {home} (pid {record.pid}), but {record.url} does not answer. Look into "
            f"{home / 'logs' / 'yard.log'}; `modelyard down` ends it.",
            UNREACHABLE,
        )
    port = flags.get("port")
    if port and not record.url.endswith(f":{port}"):
        raise Failure(
            f"A yard is running on {home} at {record.url}, not on port {port}. "
            "Stop it first (modelyard down), or choose another --home.",
            REFUSED,
        )
    kept = [
        f"--{name.replace('_', '-')}" for name, value in flags.items() if value is not None and name != "port"
    ]
    if kept:
        say(
            f"It goes on as it was started: {', '.join(kept)} counts from the next start (modelyard down first)."
        )
    if wants_json():
        print_record([], {"url": record.url, "pid": record.pid, "home": str(home), "already_running": True})
        return
    click.echo(f"A yard is already running on {home}: {record.url} (pid {record.pid})")


@click.command(cls=YardCommand)
@click.option("--all", "everything", is_flag=True, help="Also cancel its runs and stop its web services.")
def down(everything: bool) -> None:
    """Stop the yard and its agent.

    Runs and web services go on without it; the next `modelyard up` finds them again. With --all they end too.
    """
    from modelyard.cli import leftovers
    from modelyard.server.kernel.settings import default_home
    from modelyard.server.serve import processes
    from modelyard.server.serve.local_agent import agent_process

    home = default_home()
    record = _running(home)
    canceled = leftovers.cancel_runs(record.url, home) if everything and record is not None else 0
    stopped = record is not None and processes.end(record.pid, record.start, _STOP_GRACE_S)
    (home / "yard.json").unlink(missing_ok=True) if record is not None else None
    # A yard that was killed has left its agent behind.
    agent_stopped = processes.end(*agent_process(home), grace_s=8.0)
    ended = leftovers.end_processes(home) if everything else {"runs": 0, "services": 0}
    left = leftovers.count(home)
    answer = {
        "stopped": stopped,
        "agent_stopped": agent_stopped or stopped,
        "runs_canceled": canceled + ended["runs"],
        "services_stopped": ended["services"],
        "still_running": left,
    }
    if wants_json():
        print_record([], answer)
        return
    click.echo(f"The yard on {home} has stopped." if stopped else f"No yard was running on {home}.")
    if everything:
        click.echo(
            f"Runs ended: {answer['runs_canceled']}, web services stopped: {answer['services_stopped']}."
        )
    elif any(left.values()):
        click.echo(
            f"Going on without it: {left['runs']} runs, {left['services']} web services "
            "(down --all ends them)."
        )


@click.command(cls=YardCommand)
def status() -> None:
    """Tell where the yard runs and how it is. Exit code 5 when it does not run."""
    from modelyard.cli import leftovers
    from modelyard.server.kernel.settings import default_home
    from modelyard.server.serve import processes
    from modelyard.server.serve.local_agent import agent_process

    home = default_home()
    record = _running(home)
    pid, start = agent_process(home)
    agent = pid if processes.is_alive(pid, start) else None
    health = _health(record.url) if record is not None else {}
    left = leftovers.count(home)
    answer = {
        "running": record is not None,
        "healthy": health.get("status") == "ok",
        "home": str(home),
        "url": record.url if record else None,
        "pid": record.pid if record else None,
        "version": record.version if record else None,
        "agent_pid": agent,
        **left,
    }
    print_record(
        [
            (
                "yard",
                (record.url if answer["healthy"] else f"{record.url} does not answer")
                if record
                else "not running",
            ),
            ("home", home),
            ("pid", answer["pid"]),
            ("version", answer["version"]),
            ("agent", f"pid {agent}" if agent else "not running"),
            ("runs", left["runs"]),
            ("services", left["services"]),
            ("next", None if record else "modelyard up --detach"),
        ],
        answer,
    )
    if not answer["healthy"]:
        raise click.exceptions.Exit(UNREACHABLE)


def _health(url: str) -> dict[str, Any]:
    import urllib.request

    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310  # from our own yard.json
            value = json.load(answer)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _last_line(log: Path) -> str:
    try:
        return log.read_text("utf-8", "replace").rstrip().rpartition("\n")[2]
    except OSError:
        return "it left no log"
