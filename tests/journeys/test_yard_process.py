"""The yard as processes: one per home, back after a kill, gone after down."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from services import wait_until

from modelyard.server.serve import processes
from modelyard.server.serve.local_agent import agent_process


def record(home: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((home / "yard.json").read_text())
    return value


def agent_is_alive(home: Path) -> bool:
    return processes.is_alive(*agent_process(home))


def wait_for_agent(home: Path) -> int:
    wait_until(lambda: agent_is_alive(home), "the agent")
    return agent_process(home)[0]


def test_up_status_down(own_yard: Any) -> None:
    own_yard.up()
    wait_for_agent(own_yard.home)
    answer = json.loads(own_yard.cli("status", "-o", "json").stdout)
    assert answer["running"]
    assert answer["healthy"]
    assert answer["url"] == own_yard.url
    pids = (answer["pid"], record(own_yard.home)["start"]), agent_process(own_yard.home)
    assert own_yard.cli("down").returncode == 0
    assert not any(processes.is_alive(*p) for p in pids)
    assert not (own_yard.home / "yard.json").exists()
    assert own_yard.cli("status", check=False).returncode == 5


def test_everything_in_the_home_is_for_its_owner_alone(own_yard: Any) -> None:
    own_yard.up()
    wait_for_agent(own_yard.home)
    assert stat.S_IMODE(own_yard.home.stat().st_mode) == 0o700
    for name in ("owner.token", "node/node.token", "yard.db", "logs/yard.log"):
        assert stat.S_IMODE((own_yard.home / name).stat().st_mode) == 0o600, name


def test_a_second_up_says_where_the_first_is(own_yard: Any) -> None:
    own_yard.up()
    again = own_yard.cli("up")  # in the foreground, were it to start
    assert f"already running on {own_yard.home}: {own_yard.url}" in again.stdout
    refused = own_yard.cli("up", "--port", "1", check=False)
    assert refused.returncode == 4
    assert own_yard.url in refused.stderr


def test_many_ups_at_once_make_one_yard(own_yard: Any) -> None:
    command = [sys.executable, "-m", "modelyard", "up", "--detach", "--port", "0", "-o", "json"]
    starting = [
        subprocess.Popen(command, env=own_yard.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    answers = [p.communicate(timeout=60) for p in starting]
    assert [p.returncode for p in starting] == [0, 0, 0, 0], answers
    assert len({json.loads(out)["url"] for out, _ in answers}) == 1


def test_a_killed_yard_comes_back_at_its_address_and_adopts_the_agent(own_yard: Any) -> None:
    own_yard.up()
    agent = wait_for_agent(own_yard.home)
    url, token = own_yard.url, (own_yard.home / "owner.token").read_text()
    os.kill(record(own_yard.home)["pid"], signal.SIGKILL)
    wait_until(
        lambda: own_yard.cli("status", check=False).returncode == 5, "the kill to be seen", timeout_s=30
    )
    own_yard.up()
    assert own_yard.url == url
    assert (own_yard.home / "owner.token").read_text() == token
    assert wait_for_agent(own_yard.home) == agent


def test_a_killed_agent_is_started_again(own_yard: Any) -> None:
    own_yard.up()
    agent = wait_for_agent(own_yard.home)
    os.kill(agent, signal.SIGKILL)
    wait_until(
        lambda: agent_is_alive(own_yard.home) and agent_process(own_yard.home)[0] != agent, "another agent"
    )


def test_stopping_does_not_wait_for_those_who_wait(own_yard: Any) -> None:
    own_yard.up()
    run_id = own_yard.cli("run", "submit", _script(own_yard, "import time; time.sleep(60)")).stdout.strip()
    wait_for_agent(own_yard.home)
    request = urllib.request.Request(
        f"{own_yard.url}/api/v1/workspaces/default/runs/{run_id}?wait_version=999999&wait_s=60",
        headers={"Authorization": "Bearer " + (own_yard.home / "owner.token").read_text().strip()},
    )
    codes: list[int] = []

    def wait() -> None:
        try:
            urllib.request.urlopen(request, timeout=60).close()
        except urllib.error.HTTPError as error:
            codes.append(error.code)
            error.close()

    waiter = threading.Thread(target=wait)
    waiter.start()
    wait_until(lambda: _connections(own_yard.url) >= 2, "the request to be in the yard")
    begin = time.monotonic()
    own_yard.cli("down")
    assert time.monotonic() - begin < 5
    waiter.join(timeout=10)
    assert codes == [503]


def _connections(url: str) -> int:
    """Established connections of the yard, by the kernel's own table."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows)


def _script(yard: Any, text: str) -> str:
    file: Path = yard.home.parent / "script" / "train.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_yard_in_the_foreground_ends_well_by_a_signal(own_yard: Any, sign: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "modelyard", "up", "--port", "0"],
        env=own_yard.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("The yard answers at http://127.0.0.1:")
    agent_home = own_yard.home
    wait_for_agent(agent_home)
    process.send_signal(sign)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert not agent_is_alive(agent_home)
    assert not (agent_home / "yard.json").exists()


def test_down_all_ends_runs_too(own_yard: Any) -> None:
    own_yard.up()
    run_id = own_yard.cli("run", "submit", _script(own_yard, "import time; time.sleep(600)")).stdout.strip()

    def status() -> str:
        return str(json.loads(own_yard.cli("run", "show", run_id, "-o", "json").stdout)["status"])

    wait_until(lambda: status() == "Running", "the run to be running", timeout_s=60)
    said = own_yard.cli("down", "--all").stdout
    assert "Runs ended: 1" in said
    own_yard.up()
    assert status() == "Canceled"


def test_runs_go_on_without_the_yard_and_are_found_again(own_yard: Any) -> None:
    own_yard.up()
    go = own_yard.home.parent / "go"
    code = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)\nprint('went on')\n"
    run_id = own_yard.cli("run", "submit", _script(own_yard, code)).stdout.strip()

    def status() -> str:
        return str(json.loads(own_yard.cli("run", "show", run_id, "-o", "json").stdout)["status"])

    wait_until(lambda: status() == "Running", "the run to be running", timeout_s=60)
    assert "Going on without it: 1 runs" in own_yard.cli("down").stdout
    go.touch()
    own_yard.up()
    wait_until(lambda: status() == "Completed", "the run to be completed", timeout_s=60)
    assert own_yard.cli("run", "logs", run_id).stdout == "went on\n"


def test_keep_alive_requests_are_answered_without_a_delayed_acknowledgement(own_yard: Any) -> None:
    """A listener without TCP_NODELAY loses 40 ms a request to this."""
    own_yard.up()
    host, _, port = own_yard.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        times = []
        for _ in range(30):
            begin = time.monotonic()
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            times.append(time.monotonic() - begin)
    assert sorted(times)[15] < 0.03


def test_a_running_yard_says_that_other_flags_count_from_the_next_start(own_yard: Any) -> None:
    own_yard.up()
    again = own_yard.cli("up", "--detach", "--slots", "7")
    assert "already running" in again.stdout
    assert "--slots counts from the next start" in again.stderr


def test_a_program_gets_its_yard_also_where_the_default_port_is_taken(own_yard: Any) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 7070))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which is as good
        assert own_yard.cli("up", "--detach", check=False).returncode == 4
        code = "from modelyard import Workspace; print(Workspace.from_config().name)"
        done = subprocess.run(
            [sys.executable, "-c", code], env=own_yard.env, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (0, "default\n"), done.stderr


def test_a_start_with_another_store_than_the_last_says_so(own_yard: Any, tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    own_yard.up("--database", elsewhere)
    own_yard.cli("down")
    again = own_yard.cli("up", "--port", "0", "--detach")
    assert f"had database {elsewhere}, now SQLite in the home" in again.stderr
    own_yard.cli("down")
    assert "The last start" not in own_yard.cli("up", "--port", "0", "--detach").stderr


def test_a_yard_that_hangs_is_not_called_running(own_yard: Any) -> None:
    own_yard.up()
    pid = record(own_yard.home)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        again = own_yard.cli("up", "--detach", check=False)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert again.returncode == 5
    assert "does not answer" in again.stderr
    assert "`modelyard down` ends it" in again.stderr
