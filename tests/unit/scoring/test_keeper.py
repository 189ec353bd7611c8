"""The keeper and its replicas: real processes, real sockets."""

from __future__ import annotations

import contextlib
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from services import wait_until

WHO = """
    import os
    VERSION = {version!r}
    def run(data):
        return [VERSION, os.getpid()]
"""


class Load:
    """Clients that score over kept connections until told to end, and everything that went wrong."""

    def __init__(self, port: int, clients: int = 4, key: str = "") -> None:
        self.port = port
        self.headers = {"Authorization": "Bearer " + key} if key else {}
        self.failures: list[str] = []
        self.answers: list[Any] = []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.client) for _ in range(clients)]

    def client(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.ending.is_set():
            try:
                connection.request("POST", "/score", b"{}", self.headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                continue
            if answer.status == 200:
                self.answers.append(json.loads(body))
            else:
                self.failures.append(f"{answer.status} {body!r}")
        connection.close()

    def wait_for_more(self, count: int = 50) -> None:
        goal = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= goal, "more answers")


@contextlib.contextmanager
def load(service: Any, clients: int = 4, key: str = "") -> Iterator[Load]:
    made = Load(service.status()["port"], clients, key)
    for thread in made.threads:
        thread.start()
    try:
        made.wait_for_more()
        yield made
        made.wait_for_more()
    finally:
        made.ending.set()
        for thread in made.threads:
            thread.join()


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_entry_script_finds_what_v1_gave_it(service: Any) -> None:
    (service.source / "beside.py").write_text("X = 7")
    service.script(
        """
        import os, sys
        import beside
        def run(data):
            names = "AZUREML_MODEL_DIR AZUREML_ENTRY_SCRIPT AML_APP_ROOT AZUREML_SOURCE_DIRECTORY SERVICE_NAME " \\
                "WORKSPACE_NAME GREETING"
            return [beside.X, os.getcwd(), sys.path[0], *(os.environ[n] for n in names.split())]
        """
    )
    service.start()
    service.wait()
    source = str(service.source)
    expected = [
        7,
        source,
        source,
        str(service.dir / "model"),
        "score.py",
        source,
        source,
        "echo",
        "ws",
        "hello",
    ]
    assert service.score({}) == expected
    status, _, body = service.request("GET", "/")
    assert (status, body) == (200, b"Healthy")


def test_programs_that_run_calls_are_those_of_the_environment(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZUREML_RUN_ID", "of another")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    service.script(
        """
        import os, shutil
        def run(data):
            print("\u00fc\u20ac")
            return [shutil.which("python"), os.environ.get("AZUREML_RUN_ID")]
        """
    )
    service.start(variables={"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})
    service.wait()
    python = shutil.which("python", path=os.path.dirname(sys.executable))
    assert service.score(0) == [python, None]


def test_the_working_directory_holds_the_source_directory_under_its_own_name(service: Any) -> None:
    source = service.dir / "app" / "code"
    (source / "x" / "y").mkdir(parents=True)
    (source / "extra.json").write_text('{"a": 1}')
    (source / "beside.py").write_text("X = 7")
    (source / "x" / "y" / "score.py").write_text(
        "import json, os\nimport beside\n"
        "def run(data):\n"
        "    extra = json.load(open('./code/extra.json'))\n"
        "    return [extra, beside.X, os.environ['AZUREML_ENTRY_SCRIPT'], os.environ['AML_APP_ROOT'], 1 / data]\n"
    )
    service.start(source_dir=str(source), app_root=str(service.dir / "app"), entry_script="x/y/score.py")
    service.wait()
    status, _, body = service.request("POST", "/score", "1")
    assert status == 500
    assert b"x/y/score.py:5: TypeError" in body
    (source / "x" / "y" / "score.py").write_text(
        (source / "x" / "y" / "score.py").read_text().replace("1 / data", "data")
    )
    service.change(revision=2)
    service.wait(active_revision=2)
    app = str(service.dir / "app")
    assert service.score({}) == [{"a": 1}, 7, "code/x/y/score.py", app, "{}"]
    assert service.status()["swagger"]["info"]["title"] == "echo"


def test_stopping_ends_every_process_and_keeps_the_port(service: Any) -> None:
    service.start(replicas=2)
    first = service.wait()
    assert service.score(1) == {"got": 1}
    service.change(stop=True)
    assert service.keeper.wait(10) == 0
    last = service.status()
    assert (last["state"], last["port"]) == ("Stopped", first["port"])
    assert last["telemetry"]["requests"] == 1
    assert not any(is_alive(r["pid"]) for r in first["replicas"])
    service.start(stop=False)
    assert service.wait()["port"] == first["port"]


@pytest.mark.parametrize("clients", [1, 6])
def test_an_update_under_load_drops_nothing(service: Any, clients: int) -> None:
    service.script(WHO.format(version=1))
    service.start(replicas=2)
    service.wait()
    with load(service, clients) as during:
        for revision in (2, 3):
            service.script(WHO.format(version=revision))
            service.change(revision=revision)
            service.wait(active_revision=revision)
            during.wait_for_more()
    assert during.failures == []
    assert {version for version, _ in during.answers} == {1, 2, 3}
    assert during.answers[-1][0] == 3


def test_an_update_that_fails_leaves_the_old_revision_answering(service: Any) -> None:
    service.start()
    service.wait()
    service.script("def init():\n    raise KeyError('weights')\ndef run(d): return 1")
    with load(service) as during:
        service.change(revision=2)
        status = service.wait(revision=2, active_revision=1)
    assert during.failures == []
    assert status["error"]["code"] == "InitFailed"
    assert status["error"]["line"] == "score.py:2: KeyError: 'weights'"
    assert "Traceback" in status["error"]["traceback"]
    service.script("def run(d): return 'mended'")
    service.change(revision=3)
    assert service.wait(active_revision=3)["error"] is None
    assert service.score({}) == "mended"


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("def init():\n    1 / 0\ndef run(d): return 1", "InitFailed", "score.py:2: ZeroDivisionError"),
        ("import os\nos._exit(7)", "Crashed", "exit code 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "Crashed", "SIGSEGV"),
        ("def init(): pass\nasync def run(d): return 1", "InitFailed", "run() is `async def`; it has to be"),
        (
            "def init(): raise ValueError('one\\ntwo\\nthree')\ndef run(d): return 1",
            "InitFailed",
            "The entry script failed: score.py:1: ValueError: one two three",
        ),
    ],
)
def test_a_first_start_that_fails_is_said(service: Any, script: str, code: str, words: str) -> None:
    service.script(script)
    service.start(replicas=2)
    status = service.wait("Failed")
    assert status["error"]["code"] == code
    assert words in status["error"]["message"]
    assert status["active_revision"] is None


def test_a_crash_in_native_code_leaves_its_line_in_the_log(service: Any) -> None:
    service.script("import ctypes\ndef init():\n    ctypes.string_at(0)\ndef run(d): return 1\n")
    service.start()
    service.wait("Failed")
    assert 'score.py", line 3 in init' in service.log()


def test_an_init_that_never_ends_is_ended_and_its_line_is_in_the_log(service: Any) -> None:
    service.script("import time\ndef init():\n    time.sleep(3600)\ndef run(d): return 1\n")
    service.start(variables={"WORKER_TIMEOUT": "1"})
    status = service.wait("Failed")
    assert status["error"]["code"] == "InitFailed"
    assert "init() was not done after 1 s" in status["error"]["message"]
    assert 'score.py", line 3 in init' in service.log()


def test_a_failed_first_start_is_tried_once(service: Any) -> None:
    service.script("import time, threading\ndef init():\n    1 / 0\ndef run(d): return 1\n")
    service.start()
    service.wait("Failed")
    assert service.log().count("started replica") == 1


def test_a_missing_python_and_a_bad_configuration_are_said(service: Any) -> None:
    service.start(python="/nonexistent/python")
    assert service.wait("Failed")["error"]["code"] == "EnvironmentFailed"
    service.change(python=sys.executable, replicas=0)
    assert (
        "replicas"
        in service.wait("Failed", revision=1, reason="service.json: replicas has to be 1 to 64")["reason"]
    )
    service.change(replicas=1)
    service.wait()


def test_a_port_of_another_process_is_said_and_taken_when_free(service: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        service.start(port=port)
        status = service.wait("Failed")
        assert status["error"]["code"] == "PortTaken"
        assert str(port) in status["reason"]
    assert service.wait()["port"] == port


def test_a_killed_replica_is_replaced_and_costs_its_own_requests_only(service: Any) -> None:
    service.script(WHO.format(version=1))
    service.start(replicas=2)
    service.wait()
    with load(service) as during:
        killed = service.pids()[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in service.pids() and len(service.pids()) == 2, "a new replica")
    assert len(during.failures) <= 4  # the requests in flight of four clients
    assert "SIGKILL" in service.log()


def test_a_killed_replica_is_replaced_though_a_process_that_it_forked_lives_on(service: Any) -> None:
    service.script(
        """
        import os, time
        def init():
            global child
            child = os.fork()
            if child == 0:
                time.sleep(3600)  # holds every socket that the replica has
        def run(d):
            return [os.getpid(), child]
        """
    )
    service.start()
    service.wait()
    pid, child = service.score(0)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: service.pids() not in ([], [pid]), "another replica", 20)
    assert service.score(0)[0] != pid
    wait_until(lambda: not is_alive(child), "the forked process to be gone", 20)


def test_a_run_may_use_a_pool_of_processes(service: Any) -> None:
    service.script(
        """
        import json, multiprocessing, os
        def init(): pass
        def work(n): return n * n
        def run(d):
            with multiprocessing.get_context("fork").Pool(2) as pool:  # leaving it sends SIGTERM to its processes
                return [os.getpid(), pool.map(work, json.loads(d))]
        """
    )
    service.start()
    service.wait()
    answers = [service.score([1, 2, 3]) for _ in range(4)]
    assert {tuple(squares) for _, squares in answers} == {(1, 4, 9)}
    assert len({pid for pid, _ in answers}) == 1


def test_a_replica_that_keeps_crashing_makes_the_service_unhealthy(service: Any) -> None:
    service.script("import os\ndef run(d): os._exit(5)")
    service.start()
    service.wait()

    seen: dict[str, Any] = {}

    def crash() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            service.request("POST", "/score", b"{}")
        seen.update(service.status())
        # A busy machine may let one more happen between the third and this look.
        return seen["state"] == "Unhealthy" and any(f"{n} crashes" in seen["reason"] for n in (3, 4, 5))

    wait_until(crash, "Unhealthy")
    assert "exit code 5" in seen["reason"]
    assert seen["error"]["code"] == "Crashed"


def test_replicas_outlive_a_killed_keeper_and_the_next_takes_them_over(service: Any) -> None:
    service.script(WHO.format(version=1))
    service.start(replicas=2)
    before = service.wait()
    with load(service) as during:
        service.keeper.kill()
        service.keeper.wait()
        during.wait_for_more()
        service.start()
        after = service.wait()
        assert sorted(r["pid"] for r in after["replicas"]) == sorted(r["pid"] for r in before["replicas"])
        assert after["port"] == before["port"]
        # The new keeper has the socket: it can replace replicas and roll over.
        os.kill(service.pids()[0], signal.SIGTERM)
        wait_until(
            lambda: len(set(service.pids()) - {r["pid"] for r in before["replicas"]}) == 1, "a new one"
        )
        service.script(WHO.format(version=2))
        service.change(revision=2)
        service.wait(active_revision=2)
    assert during.failures == []
    assert not set(service.pids()) & {r["pid"] for r in before["replicas"]}


def test_a_new_revision_found_by_a_new_keeper_rolls_over(service: Any) -> None:
    service.script(WHO.format(version=1))
    service.start()
    port = service.wait()["port"]
    with load(service) as during:
        service.keeper.kill()
        service.keeper.wait()
        service.script(WHO.format(version=2))
        service.start(revision=2)
        assert service.wait(active_revision=2)["port"] == port
    assert during.failures == []


def test_when_everything_was_killed_the_service_comes_back_on_its_port(service: Any) -> None:
    service.start(replicas=2)
    before = service.wait()
    service.keeper.kill()
    service.keeper.wait()
    for one in before["replicas"]:
        os.kill(one["pid"], signal.SIGKILL)
    service.start()
    assert service.wait()["port"] == before["port"]
    assert service.score(1) == {"got": 1}


def test_a_directory_has_one_keeper(service: Any) -> None:
    service.start()
    service.wait()
    second = subprocess.run(
        [sys.executable, "-m", "modelyard.scoring.keeper", str(service.dir)],
        env={**os.environ, "PYTHONPATH": service.config["pythonpath"][0]},
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert second.returncode == 3
    assert b"has a keeper already" in second.stderr


def test_keys_and_replicas_change_without_new_processes(service: Any) -> None:
    service.start()
    service.wait()
    pids = service.pids()
    service.change(auth_enabled=True, keys=["one"], replicas=2)
    wait_until(lambda: len(service.pids()) == 2, "two replicas")
    wait_until(lambda: service.request("POST", "/score", b"{}")[0] == 401, "the key to be asked for")
    assert service.request("POST", "/score", b"{}", {"Authorization": "Bearer one"})[0] == 200
    assert pids[0] in service.pids()
    service.change(replicas=1)
    wait_until(lambda: len(service.pids()) == 1, "one replica")


def test_a_revision_that_runs_the_same_code_keeps_its_processes(service: Any) -> None:
    service.start(code="a", auth_enabled=True, keys=["k1"], replicas=2)
    before = service.wait()
    with load(service, key="k1") as during:
        service.change(revision=2, keys=["k2", "k1"], port=before["port"])
        after = service.wait(revision=2, active_revision=2)
    assert during.failures == []
    assert {r["pid"] for r in after["replicas"]} == {r["pid"] for r in before["replicas"]}
    told = service.request("GET", "/swagger.json", headers={"Authorization": "Bearer k2"})
    assert json.loads(told[2])["info"]["version"] == "2"
    service.change(revision=3, replicas=3)
    grown = service.wait(revision=3, active_revision=3)
    assert len(service.pids()) == 3
    assert {r["pid"] for r in before["replicas"]} < {r["pid"] for r in grown["replicas"]}


def test_after_an_update_that_fails_the_old_revision_tells_its_own_lines(service: Any) -> None:
    service.script("def init(): pass\ndef run(d):\n    raise ValueError('x')\n")
    service.start()
    service.wait()
    broken = service.dir / "broken"
    broken.mkdir()
    (broken / "score.py").write_text("1 / 0")
    service.change(revision=2, source_dir=str(broken))
    wait_until(lambda: service.status()["error"] is not None, "the error of the second revision")
    assert service.request("POST", "/score", b"1")[2] == b"run() failed: score.py:3: ValueError: x"
    assert json.loads(service.request("GET", "/swagger.json")[2])["info"]["version"] == "1"


def test_a_run_beyond_the_timeout_is_answered_with_504(service: Any) -> None:
    service.script("import time\ndef run(d):\n    time.sleep(0 if d == 'quick' else 60)\n    return 1")
    service.start(scoring_timeout_s=0.4)
    service.wait()
    slow = service.pids()
    status, _, body = service.request("POST", "/score", b"slow")
    assert status == 504
    assert b"0.4 s" in body
    wait_until(lambda: bool(service.pids()) and service.pids() != slow, "another replica")
    assert service.request("POST", "/score", b"quick")[0] == 200
    assert "score.py" in service.log()
    assert "took longer" in service.log()
    wait_until(lambda: service.status()["telemetry"]["timeouts"] == 1, "the timeout to be counted")


def test_a_run_that_never_lets_go_is_killed(service: Any) -> None:
    # A regular expression that never ends holds the interpreter's lock, so the host's own watch cannot act.
    service.script("import re\ndef run(d): return bool(re.match(r'(a+)+$', 'a' * 60 + 'b'))")
    service.start(scoring_timeout_s=0.2)
    service.wait()
    with pytest.raises((OSError, http.client.HTTPException)):
        service.request("POST", "/score", b"{}")
    assert "killing it" in service.log()


def test_the_log_is_rotated_and_replicas_follow(
    service: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from modelyard.scoring.log_file import LogFile

    log = LogFile(str(tmp_path / "logs" / "scoring.log"), max_bytes=100)
    log.say("x" * 200)
    assert log.rotate_if_large()
    assert not log.rotate_if_large()
    log.say("after")
    assert "after" in (tmp_path / "logs" / "scoring.log").read_text()
    assert "xxx" in (tmp_path / "logs" / "scoring.log.1").read_text()


def test_what_the_script_prints_is_in_the_log_at_once(service: Any) -> None:
    service.script(
        "import sys\ndef run(d):\n    print('said', d); print('warned', file=sys.stderr)\n    return 1"
    )
    service.start()
    service.wait()
    service.request("POST", "/score", b"a word")
    assert "said a word" in service.log()
    assert "warned" in service.log()
    assert time.strftime("%Y-") in service.log()


def test_a_changed_configuration_is_seen_without_a_signal(service: Any) -> None:
    service.start()
    service.wait()
    service.script("import os\ndef run(d): return os.environ['PYTHONHASHSEED']")
    service.write(revision=2, variables={"PYTHONHASHSEED": "7"})
    service.wait(active_revision=2)
    assert service.score(1) == "7"


def test_a_keeper_killed_while_a_replica_starts_leaves_no_stray(service: Any) -> None:
    service.script("import time\ndef init(): time.sleep(0.5)\n" + "import os\ndef run(d): return os.getpid()")
    service.start()
    wait_until(lambda: any((service.dir / "replicas").glob("*.sock")), "a starting replica")
    service.keeper.kill()
    service.keeper.wait()
    service.start()
    service.wait()
    assert service.score(1) == service.pids()[0]
    assert len(list((service.dir / "replicas").glob("*.sock"))) == 1


def test_an_environment_with_python_3_7_is_served(service: Any) -> None:
    found = [
        shutil.which("python3.7"),
        *glob.glob(os.path.expanduser("~/.pyenv/versions/3.7*/bin/python3.7")),
    ]
    pythons = [
        p
        for p in found
        if p and subprocess.run([p, "-c", ""], check=False, capture_output=True).returncode == 0
    ]
    if not pythons:
        pytest.skip("no Python 3.7 here: pyenv install 3.7")
    service.script("import sys\ndef run(d): return list(sys.version_info[:2])")
    service.start(python=pythons[0], replicas=2)
    service.wait()
    assert service.score(1) == [3, 7]
    service.script("def init():\n    {}['x']\ndef run(d): return 1")
    service.change(revision=2)
    assert service.wait(revision=2, active_revision=1)["error"]["line"] == "score.py:2: KeyError: 'x'"
    service.keeper.kill()
    service.keeper.wait()
    service.start(scoring_timeout_s=0.3)
    service.wait(active_revision=1)
    assert service.score(1) == [3, 7]
