"""`Tensorboard(runs).start()`: a real TensorBoard over the logs of runs, live ones too."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, List, Optional

from modelyard import errors
from modelyard.tensorboard.logs import Logs

_PULL_EVERY_S = 2.0
_RELOAD_S = "5"
_START_S = 120.0  # the first start by uv may have to fetch TensorBoard
_STOP_S = 10.0
_REQUIREMENTS = ("tensorboard", "setuptools<81")  # older TensorBoards import pkg_resources


class Tensorboard:
    """TensorBoard over the logs of these runs and the runs below them.

    What a script writes to `./logs` is shown while it runs, what it writes to `./outputs` once it has ended. local_root:
    where the logs are copied to, and stay; default: a directory that goes with `stop`. port 0: any free one.
    """

    LOGS_ARTIFACT_PREFIX = "logs/"

    def __init__(
        self,
        runs: Any,
        local_root: Optional[str] = None,
        port: int = 6006,
        use_display_name: bool = False,
        _prefix: str = "",
    ) -> None:
        self._runs = list(runs) if isinstance(runs, (list, tuple)) else [runs]
        for run in self._runs:
            if not hasattr(run, "_scope"):
                raise errors.UserErrorException(f"Tensorboard takes runs, not a {type(run).__name__}.")
        self._local_root = local_root
        self._port = port
        self._by_name = use_display_name
        self._prefix = _prefix
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._stopping = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._root = ""
        self._log = ""

    def start(self, start_browser: bool = False) -> str:
        """Copy the logs that are there, start TensorBoard, go on copying; answers its address."""
        if self._process is not None:
            raise errors.UserErrorException(
                f"This TensorBoard is started already: {self.url}. stop() ends it."
            )
        command = _command()
        self._port = self._port or _free_port()
        if not _is_free(self._port):
            raise errors.UserErrorException(
                f"Port {self._port} is taken on this machine. Stop what listens there, or choose another: "
                "Tensorboard(runs, port=6007), 0 for any free one."
            )
        self._root = os.path.abspath(self._local_root or tempfile.mkdtemp(prefix="modelyard-tensorboard-"))
        os.makedirs(self._root, exist_ok=True)
        logs = Logs(self._runs, self._root, self._prefix, self._by_name)
        logs.pull()
        if self._runs and not logs.count:
            self._say(
                "No TensorBoard logs in these runs yet; scripts write them to ./logs. They are shown as they come."
            )
        try:
            self._start_process(command)
        except BaseException:
            self.stop()
            raise
        self._stopping.clear()
        self._thread = threading.Thread(target=self._pull, args=(logs,), name="tensorboard-logs", daemon=True)
        self._thread.start()
        atexit.register(self.stop)
        self._say(self.url)
        if start_browser:
            import webbrowser  # only where somebody asks for one

            webbrowser.open(self.url)
        return self.url

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def stop(self) -> None:
        """End TensorBoard and the copying. Twice is fine."""
        atexit.unregister(self.stop)
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        process, self._process = self._process, None
        if process is not None:
            _end(process)
        if self._log:
            os.unlink(self._log)
            self._log = ""
        if self._root and self._local_root is None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = ""

    def _start_process(self, command: List[str]) -> None:
        descriptor, self._log = tempfile.mkstemp(prefix="modelyard-tensorboard-", suffix=".log")
        with os.fdopen(descriptor, "wb") as log:
            self._process = subprocess.Popen(
                [
                    *command,
                    *("--logdir", self._root),
                    *("--host", "127.0.0.1", "--port", str(self._port)),
                    *("--reload_interval", _RELOAD_S),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while not _answers(self._port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                with open(self._log, "rb") as log:
                    said = log.read().decode("utf-8", "replace").strip()[-2000:]
                raise errors.UserErrorException(f"TensorBoard did not start ({' '.join(command)}):\n{said}")
            time.sleep(0.05)

    def _pull(self, logs: Logs) -> None:
        while not self._stopping.wait(_PULL_EVERY_S):
            try:
                logs.pull()
            except (errors.AzureMLException, OSError):
                continue  # the yard is away, or the disk is full: what is there is shown on

    @staticmethod
    def _say(line: str) -> None:
        print(line, flush=True)  # noqa: T201  # as v1 did


def _command() -> List[str]:
    """TensorBoard of this Python, else one on the PATH, else by uv, which keeps it for the next time."""
    if importlib.util.find_spec("tensorboard") is not None:
        return [sys.executable, "-m", "tensorboard.main"]
    found = shutil.which("tensorboard")
    if found:
        return [found]
    uv = _uv()
    if uv:
        name, *others = _REQUIREMENTS
        return [*uv, "tool", "run", "--quiet", *(arg for one in others for arg in ("--with", one)), name]
    raise errors.UserErrorException(
        "TensorBoard is not installed here: pip install " + " ".join(f"'{one}'" for one in _REQUIREMENTS)
    )


def _uv() -> List[str]:
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv")
    return [found] if found else []


def _answers(port: int) -> bool:
    import http.client  # not to be loaded by a script that only imports the name

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    """The whole group: uv's child and TensorBoard's data server too."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except OSError:
            pass  # all of it is gone
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            continue
