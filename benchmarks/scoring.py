"""scoring_rps_*, scoring_p99_32c_*: requests a service answers ÷ the same run() behind a bare raw-ASGI server.

Iris LogisticRegression, one row. Ours has keys and telemetry on; the bare one (uvicorn, uvloop, httptools, no access log)
has neither. As many processes on both sides. The two are loaded in turns, and the ratio is the median over the turns'
own ratios, so that a machine that is busy with something else slows both.
"""

from __future__ import annotations

import contextlib
import json
import platform
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
TURNS = 7
TURN_S = 2  # in one second the slowest hundredth is too few requests to compare
RPS_BAR = 0.95
P99_BAR = 1.2
KEY = "k" * 32
BODY = '{"data": [[5.1, 3.5, 1.4, 0.2]]}'
MODEL = """
import json
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

def init():
    global model
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(X, y)

def run(raw):
    return {"result": model.predict(np.array(json.loads(raw)["data"])).tolist()}
"""
BARE = (
    MODEL
    + """
init()
TYPE = (b"content-type", b"application/json")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive(); await send({"type": "lifespan.startup.complete"})
        await receive(); await send({"type": "lifespan.shutdown.complete"})
        return
    message = await receive(); body = message["body"]
    while message.get("more_body"):
        message = await receive(); body += message["body"]
    result = json.dumps(run(body)).encode()
    headers = [TYPE, (b"content-length", str(len(result)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": result})
"""
)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for_answer(url: str) -> None:
    request = urllib.request.Request(url, BODY.encode(), {"Authorization": f"Bearer {KEY}"})
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(request) as answer:
            assert json.load(answer) == {"result": [0]}
            return
        time.sleep(0.05)
    raise SystemExit(f"{url} did not answer within 60 s")


@contextlib.contextmanager
def running(command: list[str], cwd: Path) -> Iterator[None]:
    # A session of its own, as our scoring hosts have: Linux shares the cores out by session, and a server in the
    # load generator's session would be favoured when other programs want the cores too.
    environment = {"PYTHONPATH": str(SRC), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(command, cwd=cwd, env=environment, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def ours(directory: Path, replicas: int) -> Iterator[str]:
    service = directory / f"service-{replicas}"
    (service / "source").mkdir(parents=True)
    (service / "source" / "score.py").write_text(MODEL)
    port = free_port()
    config = {
        "endpoint": "iris",
        "revision": 1,
        "host": "127.0.0.1",
        "port": port,
        "replicas": replicas,
        "python": sys.executable,
        "pythonpath": [str(SRC)],
        "source_dir": str(service / "source"),
        "entry_script": "score.py",
        "auth_enabled": True,
        "keys": ["other", KEY],
    }
    (service / "service.json").write_text(json.dumps(config))
    with running([sys.executable, "-m", "modelyard.scoring.keeper", str(service)], service):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError, ValueError):
                if json.loads((service / "status.json").read_text())["state"] == "Healthy":
                    break
            time.sleep(0.05)
        url = f"http://127.0.0.1:{port}/score"
        wait_for_answer(url)
        yield url


@contextlib.contextmanager
def bare(directory: Path, processes: int) -> Iterator[str]:
    (directory / "bare.py").write_text(BARE)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bare:app", "--port", str(port), "--workers", str(processes)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error"]
    with running(command, directory):
        url = f"http://127.0.0.1:{port}/"
        wait_for_answer(url)
        time.sleep(2 * (processes - 1))  # the other processes load the model as well
        wait_for_answer(url)
        yield url


def load(url: str, connections: int, directory: Path) -> tuple[float, float]:
    """(requests per second, 99th percentile in ms)."""
    if shutil.which("wrk") is None:
        return load_by_python(url, connections)
    script = directory / "post.lua"
    script.write_text(
        f"wrk.method='POST'; wrk.body='{BODY}'; wrk.headers['Content-Type']='application/json'; "
        f"wrk.headers['Authorization']='Bearer {KEY}'"
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{TURN_S}s", "--latency", "-s", str(script), url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(text)
    rps = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])  # type: ignore[index]
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return rps, float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def load_by_python(url: str, connections: int) -> tuple[float, float]:
    """Where wrk is not installed. Slower than wrk, so the ratios come out nearer to 1."""
    _, _, address, path = url.split("/", 3)
    host, port = address.split(":")
    head = f"POST /{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    request = (head + BODY).encode()
    selector = selectors.DefaultSelector()
    sent_at: dict[socket.socket, float] = {}
    for _ in range(connections):
        sock = socket.create_connection((host, int(port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(sock, selectors.EVENT_READ)
        sent_at[sock] = time.perf_counter()
        sock.send(request)
    latencies = []
    began = time.perf_counter()
    while time.perf_counter() < began + TURN_S:
        for key, _ in selector.select(1):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if not sock.recv(65536).endswith(b"]}"):
                continue
            now = time.perf_counter()
            latencies.append(now - sent_at[sock])
            sent_at[sock] = now
            sock.send(request)
    for sock in sent_at:
        sock.close()
    return len(latencies) / (time.perf_counter() - began), sorted(latencies)[
        int(len(latencies) * 0.99)
    ] * 1000


def claim(name: str, value: float, bar: float, holds: bool, against: str) -> bool:
    versions = {n: version(n) for n in ("uvicorn", "uvloop", "httptools", "scikit-learn", "numpy")}
    versions["python"] = platform.python_version()
    versions["load"] = "wrk" if shutil.which("wrk") else "python"
    line = {
        "claim": name,
        "value": round(value, 3),
        "unit": "ratio",
        "bar": bar,
        "holds": holds,
        "against": against,
    }
    print(json.dumps({**line, "versions": versions}), flush=True)
    return holds


def compare(our_url: str, bare_url: str, connections: int, processes: int, directory: Path) -> bool:
    """Whether all claims about this many connections and processes hold."""
    turns = []
    for turn in range(TURNS + 1):
        # Who goes first alternates; the first turn warms both up and is not counted.
        urls = (our_url, bare_url) if turn % 2 else (bare_url, our_url)
        figures = {url: load(url, connections, directory) for url in urls}
        turns.append((*figures[our_url], *figures[bare_url]))
    turns = turns[1:]
    rps = statistics.median(ours / theirs for ours, _, theirs, _ in turns)
    p99 = statistics.median(ours / theirs for _, ours, _, theirs in turns)
    middle = [statistics.median(column) for column in zip(*turns, strict=True)]
    name = f"bare raw ASGI, {processes} process{'es' if processes > 1 else ''}"
    against = f"{name}: {middle[0]:.0f} against {middle[2]:.0f} requests/s"
    holds = claim(f"scoring_rps_{connections}c_{processes}r", rps, RPS_BAR, rps >= RPS_BAR, against)
    if connections == 32:
        against = f"{name}: {middle[1]:.2f} against {middle[3]:.2f} ms"
        holds = claim(f"scoring_p99_32c_{processes}r", p99, P99_BAR, p99 <= P99_BAR, against) and holds
    return holds


def main() -> int:
    all_hold = True
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        for processes in (1, 2):
            with ours(directory, processes) as our_url, bare(directory, processes) as bare_url:
                for connections in (1, 8, 32):
                    all_hold = compare(our_url, bare_url, connections, processes, directory) and all_hold
    return 0 if all_hold else 1


if __name__ == "__main__":
    sys.exit(main())
