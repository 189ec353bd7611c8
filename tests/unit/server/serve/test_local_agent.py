"""The agent is started, started again with growing pauses, adopted and stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from services import wait_until

from modelyard.server.serve import processes
from modelyard.server.serve.local_agent import LocalAgent, agent_process

URL = "http://127.0.0.1:9"
# A process that tells of itself as an agent does.
LIVES = """
import json, os, pathlib, sys, time
home = pathlib.Path(sys.argv[sys.argv.index("--home") + 1])
(home / "starts").open("a").write("x")
stat = open("/proc/self/stat").read().rpartition(")")[2].split()[19]
boot = open("/proc/sys/kernel/random/boot_id").read(8)
draft = home / "node" / "draft"
draft.write_text(json.dumps({"pid": os.getpid(), "start": boot + ":" + stat}))
draft.rename(home / "node" / "agent.json")
time.sleep(60)
"""
DIES = "import sys; open(sys.argv[2] + '/starts', 'a').write('x')"


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "node").mkdir()
    return tmp_path


@pytest.fixture
def make(home: Path) -> Iterator[Callable[..., LocalAgent]]:
    made: list[LocalAgent] = []

    def one(code: str = LIVES, url: str = URL, **options: object) -> LocalAgent:
        made.append(LocalAgent(home, url, program=(sys.executable, "-c", code), **options))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for agent in made:
        agent.stop()


def starts(home: Path) -> int:
    file = home / "starts"
    return len(file.read_text()) if file.exists() else 0


def wait_for_record(home: Path) -> tuple[int, str]:
    wait_until(lambda: agent_process(home)[0] > 0, "agent.json")
    return agent_process(home)


def test_an_agent_is_started_once(home: Path, make: Callable[..., LocalAgent]) -> None:
    agent = make()
    agent.look()
    pid, start = wait_for_record(home)
    agent.look()
    assert starts(home) == 1
    agent.stop()
    assert not processes.is_alive(pid, start)


def test_a_stopped_agent_is_not_started_again(home: Path, make: Callable[..., LocalAgent]) -> None:
    agent = make()
    agent.look()
    wait_for_record(home)
    agent.stop()
    agent.look()
    assert starts(home) == 1


def test_a_living_agent_of_a_killed_yard_is_adopted(home: Path, make: Callable[..., LocalAgent]) -> None:
    make().look()
    pid, _ = wait_for_record(home)
    later = make()
    later.look()
    assert agent_process(home)[0] == pid
    later.stop()
    assert starts(home) == 1


def test_an_agent_that_speaks_to_another_address_is_replaced(
    home: Path, make: Callable[..., LocalAgent]
) -> None:
    make(url="http://127.0.0.1:8").look()
    pid, start = wait_for_record(home)
    make().look()
    assert not processes.is_alive(pid, start)
    wait_until(lambda: agent_process(home)[0] not in (0, pid), "the new agent")


def test_an_agent_that_keeps_dying_is_started_with_growing_pauses(
    home: Path, make: Callable[..., LocalAgent]
) -> None:
    watch = Watch()
    agent = make(DIES, clock=watch)
    pauses = []
    for expected in range(1, 5):
        waited = 0.0
        while starts(home) < expected:
            agent.look()
            if agent._child is None:
                watch.now += 0.25
                waited += 0.25
            else:
                agent._child.wait()
        pauses.append(waited)
    assert pauses == [0.0, 0.5, 1.0, 2.0]


def test_an_agent_that_lived_long_is_started_again_soon(home: Path, make: Callable[..., LocalAgent]) -> None:
    watch = Watch()
    agent = make(DIES, clock=watch)
    for _ in range(3):
        watch.now += 30
        agent.look()
        assert agent._child is not None
        agent._child.wait()
        watch.now += 61
        agent.look()  # notes the death; the pause is the first one again
        assert agent._not_before - watch.now == 0.5


def test_the_script_does_not_inherit_the_yards_secrets(
    home: Path, make: Callable[..., LocalAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_DATABASE", "postgresql://me:secret@db/yard")
    monkeypatch.setenv("MODELYARD_BLOBS", "s3://b?secret_access_key=x")
    code = "import json, os, sys; json.dump(sorted(os.environ), open(sys.argv[2] + '/environ', 'w'))"
    agent = make(code)
    agent.look()
    assert agent._child is not None
    agent._child.wait()
    names = json.loads((home / "environ").read_text())
    assert not {"MODELYARD_DATABASE", "MODELYARD_BLOBS"} & set(names)


@pytest.mark.parametrize("text", ["", "[]", '{"pid": "x"}', "{}"])
def test_a_damaged_agent_record_counts_as_none(home: Path, text: str) -> None:
    (home / "node" / "agent.json").write_text(text)
    assert agent_process(home) == (0, "")


def test_the_agents_output_goes_to_its_log(home: Path, make: Callable[..., LocalAgent]) -> None:
    agent = make("print('hello from the agent')")
    agent.look()
    assert isinstance(agent._child, subprocess.Popen)
    agent._child.wait()
    assert (home / "node" / "logs" / "agent.log").read_text() == "hello from the agent\n"
