"""Real services that tests start for themselves from what the machine has."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Service:
    """A kind of real service: whether this machine has it, how to get it, how to start it."""

    name: str
    installed: Callable[[], bool]
    install: str
    start: Callable[[], contextlib.AbstractContextManager[str]]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_until(check: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Look again and again until `check` holds; the deadline is only a bound against hanging."""
    end = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s} s for: {what}")
        time.sleep(0.02)


def _postgres_bin() -> str:
    return next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)), "")


class Postgres:
    """A PostgreSQL cluster of its own. Runs as the user `postgres` when we are root."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="my-pg-"))
        self._directory.chmod(0o755)
        self._user: dict[str, object] = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            os.chown(self._directory, entry.pw_uid, entry.pw_gid)
            self._user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        self._port = free_port()
        self.url = f"postgresql://yard@127.0.0.1:{self._port}/postgres"
        self._run("initdb", "-D", f"{self._directory}/data", "-A", "trust", "-U", "yard", "--no-sync")

    def _run(self, program: str, *args: str) -> None:
        command = [f"{_postgres_bin()}/{program}", *args]
        subprocess.run(command, check=True, capture_output=True, cwd=self._directory, **self._user)  # type: ignore[call-overload]

    def start(self) -> None:
        options = (
            f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._directory}"
        )
        log = f"{self._directory}/log"
        self._run("pg_ctl", "-D", f"{self._directory}/data", "-o", options, "-l", log, "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is as a crash: what was not committed is lost; `fast` breaks off all sessions in order."""
        self._run("pg_ctl", "-D", f"{self._directory}/data", "-m", mode, "-w", "stop")

    def remove(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


@contextlib.contextmanager
def postgres_cluster() -> Iterator[Postgres]:
    """A started cluster that the test may stop and start; gone afterwards."""
    cluster = Postgres()
    cluster.start()
    try:
        yield cluster
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):  # the test left it stopped
            cluster.stop()
        cluster.remove()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL cluster of its own; gives its URL."""
    with postgres_cluster() as cluster:
        yield cluster.url


def _moto_installed() -> bool:
    return bool(shutil.which("moto_server") or (Path(sys.executable).parent / "moto_server").exists())


@contextlib.contextmanager
def moto_s3() -> Iterator[str]:
    """moto's S3 with one bucket; gives a blobs URL."""
    port = free_port()
    program = shutil.which("moto_server") or str(Path(sys.executable).parent / "moto_server")
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_http(f"http://127.0.0.1:{port}/moto-api/")
        bucket = urllib.request.Request(f"http://127.0.0.1:{port}/yard-bucket", method="PUT")
        urllib.request.urlopen(bucket, timeout=10).close()
        yield (
            f"s3://yard-bucket/blobs?endpoint=http://127.0.0.1:{port}&region=us-east-1"
            "&access_key_id=test&secret_access_key=test"
        )
    finally:
        process.kill()
        process.wait()


def _azurite() -> Path | None:
    roots = [Path(os.environ.get("MODELYARD_TEST_TOOLS", Path.home() / ".cache" / "modelyard-test-tools"))]
    for root in roots:
        script = root / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
        if script.exists():
            return script
    return None


AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # published with Azurite


@contextlib.contextmanager
def azurite() -> Iterator[str]:
    """Azurite's blob service with one container; gives a blobs URL."""
    script = _azurite()
    assert script is not None
    directory = tempfile.mkdtemp(prefix="my-azurite-")
    port = free_port()
    process = subprocess.Popen(
        [
            "node",
            str(script),
            "--silent",
            "--skipApiVersionCheck",
            "--location",
            directory,
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            str(port),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _listens(port), "Azurite to listen")
        endpoint = f"http://127.0.0.1:{port}/devstoreaccount1"
        _make_container(endpoint, "yard")
        yield (
            f"az://yard/blobs?account_name=devstoreaccount1&endpoint={endpoint}"
            f"&account_key={AZURITE_KEY.replace('+', '%2B').replace('=', '%3D').replace('/', '%2F')}"
        )
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _make_container(endpoint: str, name: str) -> None:
    """Create a container by a request signed with the shared key, as the service's documentation describes."""
    import base64
    import datetime
    import hashlib
    import hmac

    date = datetime.datetime.now(datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    path = "/devstoreaccount1" + "/devstoreaccount1/" + name
    to_sign = (
        f"PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2021-08-06\n{path}\nrestype:container"
    )
    digest = hmac.new(base64.b64decode(AZURITE_KEY), to_sign.encode(), hashlib.sha256).digest()
    request = urllib.request.Request(
        f"{endpoint}/{name}?restype=container",
        method="PUT",
        headers={
            "x-ms-date": date,
            "x-ms-version": "2021-08-06",
            "Content-Length": "0",
            "Authorization": f"SharedKey devstoreaccount1:{base64.b64encode(digest).decode()}",
        },
    )
    urllib.request.urlopen(request, timeout=10).close()


def _listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def _wait_http(url: str) -> None:
    def answers() -> bool:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            return False
        return True

    wait_until(answers, url)


SERVICES = {
    s.name: s
    for s in (
        Service("postgresql", lambda: bool(_postgres_bin()), "apt-get install postgresql", postgres),
        Service("moto", _moto_installed, "pip install 'moto[server]'", moto_s3),
        Service(
            "azurite",
            lambda: _azurite() is not None and shutil.which("node") is not None,
            "scripts/bootstrap (npm install azurite)",
            azurite,
        ),
    )
}
