"""Tries an entry script before it is deployed: init() and one run() in the environment's Python, no socket.

`python -m modelyard.scoring.check <service.json> [sample.json]` prints one JSON object last:
`{"ok", "error": ServiceError|null, "output", "init_s", "run_s"}`, and exits 0 or 1. Without a sample the one of the
entry script's input_schema is used; without that either, only init() is tried and `run_s` is null.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any, Dict, List, Optional

from modelyard.scoring import config as configuration
from modelyard.scoring import entry, faults, host, replica
from modelyard.scoring.http1 import Head, Refused, Request

_MARK = "modelyard-check: "
_INSIDE = "--inside"


def check(config_path: str, sample_path: str = "", timeout_s: float = 600.0) -> Dict[str, Any]:
    """The verdict. Raises ConfigError where service.json is not one. What the script prints goes to stderr."""
    service = configuration.read(config_path)
    paths = [os.path.abspath(p) for p in (config_path, sample_path) if p]
    try:
        done = subprocess.run(
            [service.python, "-m", "modelyard.scoring.check", _INSIDE, *paths],
            env=replica.process_environment(service),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _failed("Crashed", f"init() and run() took longer than {timeout_s:g} s.")
    except OSError as error:
        words = f"The environment's Python {service.python} cannot be started: {error}"
        return _failed("EnvironmentFailed", words)
    text = done.stdout.decode("utf-8", "replace")
    printed, found, verdict = text.rpartition(_MARK)
    if not found:
        sys.stderr.write(text)
        return _failed("Crashed", f"The check ended with exit code {done.returncode} and no result.")
    sys.stderr.write(printed)
    value = json.loads(verdict)
    assert isinstance(value, dict)
    return value


def _failed(code: str, message: str) -> Dict[str, Any]:
    error = {"code": code, "message": message, "line": "", "traceback": ""}
    return {"ok": False, "error": error, "output": None, "init_s": None, "run_s": None}


def _inside(config_path: str, sample_path: str) -> Dict[str, Any]:
    """In the environment's Python."""
    service = configuration.read(config_path)
    verdict: Dict[str, Any] = {"ok": False, "error": None, "output": None, "init_s": None, "run_s": None}
    sample: Optional[bytes] = None
    if sample_path:
        with open(sample_path, "rb") as f:
            sample = f.read()
    began = time.monotonic()
    what = "The entry script"
    try:
        _, run = host.start_entry(service)
        verdict["init_s"] = round(time.monotonic() - began, 4)
        if sample is None and run.input_schema is not None:
            sample = json.dumps(run.input_schema.get("example")).encode("ascii")
        if sample is not None:
            what = "run()"
            began = time.monotonic()
            verdict["output"] = _score(run, sample)
            verdict["run_s"] = round(time.monotonic() - began, 4)
        verdict["ok"] = True
    except BaseException as error:  # the user's code may raise anything, SystemExit included
        verdict["error"] = faults.init_error(error, service.source_dir, what)
        if what == "run()":
            verdict["error"]["code"] = "RunFailed"
    return verdict


def _score(run: entry.RunFunction, sample: bytes) -> Any:
    head = Head("POST", b"/score", {b"content-type": b"application/json", b"host": b"check"}, 11)
    arguments, named = run.arguments(Request(head, sample))
    response = entry.encode_result(run.run(*arguments, **named))
    if response.status >= 400:
        raise Refused(response.status, f"run() answered with status {response.status}")
    text = response.body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def main(arguments: Optional[List[str]] = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == [_INSIDE]:
        verdict = _inside(given[1], given[2] if len(given) > 2 else "")
        sys.stdout.write(f"{_MARK}{json.dumps(verdict)}\n")
        sys.stdout.flush()
        os._exit(0)  # threads of the user's code must not hold the verdict back
    if len(given) not in (1, 2):
        sys.stderr.write("usage: python -m modelyard.scoring.check <service.json> [sample.json]\n")
        return 2
    try:
        verdict = check(given[0], given[1] if len(given) > 1 else "")
    except configuration.ConfigError as error:
        verdict = _failed("Crashed", str(error))
    sys.stdout.write(json.dumps(verdict) + "\n")
    return 0 if verdict["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
