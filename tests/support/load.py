"""A load of runs, the killing of what runs them, and the account of what must still be there afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services import wait_until

from modelyard.node import processes

POINTS = 40
FINAL = ("Completed", "Failed", "Canceled")

# Each line and each point is numbered, so that a gap, a repetition or a change of order can be seen. The ledger, outside
# of the yard, gets a word after each call has returned: what stands there was acknowledged.
SCRIPT = f"""
import os, sys, time
from modelyard import Run
run = Run.get_context()
seconds, folder, with_model = float(sys.argv[1]), sys.argv[2], sys.argv[3] == "model"
ledger = os.open(os.path.join(folder, run.id), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
say = lambda word: os.write(ledger, (word + "\\n").encode())
say("began")
os.makedirs("outputs", exist_ok=True)
for i in range({POINTS}):
    run.log("step", i)
    print("line", i, flush=True)
    say(str(i))
    time.sleep(seconds / {POINTS})
with open("outputs/done.txt", "w") as f:
    f.write("done by " + run.id)
say("outputs")
if with_model:
    run.upload_file("outputs/model.txt", "outputs/done.txt")
    model = run.register_model("of-" + run.id[-8:], "outputs/model.txt")
    say("model %s %d" % (model.name, model.version))
"""


@dataclass
class Killed:
    """What the nemesis has shot, so that the account knows which runs may have failed."""

    hosts: set[str] = field(default_factory=set)
    scripts: set[str] = field(default_factory=set)
    servers: int = 0
    agents: int = 0


class Nemesis(threading.Thread):
    """Kills server, agent, run hosts and user scripts with SIGKILL at random moments, and starts the server again."""

    def __init__(self, yard: Any, kinds: list[str], seed: int, every_s: tuple[float, float]) -> None:
        super().__init__(daemon=True)
        self._yard = yard
        self._kinds = kinds
        self._random = random.Random(seed)
        self._every_s = every_s
        self._end = threading.Event()
        self._error: BaseException | None = None
        self.killed = Killed()

    def run(self) -> None:
        try:
            while not self._end.wait(self._random.uniform(*self._every_s)):
                getattr(self, "_" + self._random.choice(self._kinds))()
        except BaseException as error:
            self._error = error  # raised by stop(), in the test's own thread

    def stop(self) -> None:
        """End the killing. Raises what went wrong while the server was started again."""
        self._end.set()
        self.join(timeout=120)
        if self._error is not None:
            raise self._error

    def _server(self) -> None:
        kill(server_pid(self._yard.home))
        self.killed.servers += 1
        self._yard.up()

    def _agent(self) -> None:
        if pid := agent_pid(self._yard.home):
            kill(pid)
            self.killed.agents += 1

    def _host(self) -> None:
        if found := self._pick("pid", "started"):
            self.killed.hosts.add(found[0])
            kill(found[1])

    def _script(self) -> None:
        if found := self._pick("script", "script_started"):
            self.killed.scripts.add(found[0])
            kill(found[1])

    def _pick(self, key: str, started: str) -> tuple[str, int] | None:
        """A run that goes on now, and the pid of its host or script."""
        found = []
        for directory in sorted((self._yard.home / "node" / "runs").glob("*")):
            if (directory / "exit.json").exists():
                continue
            known = host_record(directory)
            if processes.is_same(known.get(key, 0), known.get(started, "")):
                found.append((directory.name, int(known[key])))
        return self._random.choice(found) if found else None


def host_record(run_directory: Path) -> dict[str, Any]:
    """`host.json`: `pid`/`started` of the run host, `script`/`script_started` of the user's process."""
    return _json(run_directory / "host.json")


def server_pid(home: Path) -> int:
    return int(_json(home / "yard.json").get("pid", 0))


def agent_pid(home: Path) -> int:
    """The living agent's process id, 0 without one."""
    known = _json(home / "node" / "agent.json")
    pid = int(known.get("pid", 0))
    return pid if processes.is_same(pid, known.get("start", "")) else 0


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is gone: on a busy machine it still looks alive for a moment."""
    if pid > 1:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_gone(pid), f"process {pid} to be gone", 30)


def is_gone(pid: int) -> bool:
    return not processes.started(pid)


def this_python() -> Any:
    from modelyard import Environment

    environment = Environment("this-python")
    environment.python.user_managed_dependencies = True
    environment.python.interpreter_path = sys.executable
    return environment


def submit(
    workspace: Any,
    source: Path,
    script: str,
    arguments: list[Any] | None = None,
    experiment: str = "faults",
    **config: Any,
) -> Any:
    """A run of `script` on `local`, with the Python of this test."""
    from modelyard import Experiment, ScriptRunConfig

    source.mkdir(exist_ok=True)
    if not (source / "train.py").exists() or (source / "train.py").read_text() != script:
        (source / "train.py").write_text(script)
    settings = ScriptRunConfig(
        str(source), script="train.py", arguments=arguments or [], environment=this_python()
    )
    for name, value in config.items():
        setattr(settings.run_config, name, value)
    return Experiment(workspace, experiment).submit(settings)


def wait_all_final(workspace: Any, run_ids: list[str], timeout_s: float) -> dict[str, Any]:
    """The runs by id once every one of them is final."""
    final: dict[str, Any] = {}

    def look() -> bool:
        for run_id in run_ids:
            if run_id not in final:
                run = workspace.get_run(run_id)
                if run.get_status() not in FINAL:
                    return False  # mostly in order: one look a round is enough
                final[run_id] = run
        return True

    try:
        wait_until(look, "the runs to end", timeout_s)
    except AssertionError:
        still = {r: workspace.get_run(r).get_status() for r in run_ids if r not in final}
        raise AssertionError(f"not final after {timeout_s} s: {still}") from None
    return final


def wait_status(run: Any, *statuses: str, timeout_s: float = 60.0) -> str:
    wait_until(lambda: run.get_status() in statuses, f"{run.id} to be {statuses}", timeout_s)
    return str(run.get_status())


def ledger(folder: Path, run_id: str) -> list[str]:
    """The whole words a script has put down."""
    path = folder / run_id
    return path.read_text().splitlines() if path.exists() else []


def check(workspace: Any, run: Any, killed: Killed, folder: Path) -> None:
    """Nothing lost, nothing doubled, nothing out of order; what the nemesis left alone has completed."""
    points = run.get_metrics().get("step", [])
    points = points if isinstance(points, list) else [points]
    words = ledger(folder, run.id)
    names = run.get_file_names()
    lines = std_log(run) if "user_logs/std_log.txt" in names else []
    status = run.get_status()
    acknowledged = sum(word.isdigit() for word in words)
    assert words.count("began") <= 1, f"{run.id} was started twice: {words}"
    assert points == list(range(len(points))), f"{run.id}: points {points}"
    assert lines == [f"line {i}" for i in range(len(lines))], f"{run.id}: lines {lines}"
    assert len(points) >= acknowledged, f"{run.id}: {len(points)} of {acknowledged} points"
    assert len(lines) >= acknowledged, f"{run.id}: {len(lines)} of {acknowledged} lines"
    if "outputs" in words:
        assert "outputs/done.txt" in names, f"{run.id}: {names}"
    for word in words:
        if word.startswith("model "):
            _, name, version = word.split()
            versions = [m.version for m in _models(workspace, name)]
            assert versions == [int(version)], f"{run.id}: {word}, but {versions}"
    if run.id in killed.hosts or run.id in killed.scripts:
        assert status in ("Failed", "Completed"), f"{run.id}: {status}"
        if status == "Failed":
            assert run.get_details()["error"], run.id
    else:
        assert status == "Completed", f"{run.id}: {status} {run.get_details().get('error')}"
    if status == "Completed":
        assert (len(points), len(lines)) == (POINTS, POINTS), f"{run.id}: {len(points)}, {len(lines)}"
        assert "outputs/done.txt" in names


def _models(workspace: Any, name: str) -> list[Any]:
    from modelyard import Model

    return list(Model.list(workspace, name=name))


class Registering(threading.Thread):
    """Registers one model after another while the yard is shot at, and remembers which were acknowledged."""

    def __init__(self, workspace: Any, folder: Path, name: str) -> None:
        super().__init__(daemon=True)
        folder.mkdir()
        self._workspace = workspace
        self._folder = folder
        self._name = name
        self._end = threading.Event()
        self.acknowledged: dict[int, str] = {}
        self.refused: list[str] = []

    def run(self) -> None:
        from modelyard import Model
        from modelyard.errors import AzureMLException

        number = 0
        while not self._end.wait(0.3):
            number += 1
            content = f"weights {number}"
            file = self._folder / f"m{number}.txt"
            file.write_text(content)
            try:
                model = Model.register(self._workspace, str(file), self._name)
            except AzureMLException as error:  # not acknowledged, so it may be there or not
                self.refused.append(str(error))
                continue
            assert model.version not in self.acknowledged
            self.acknowledged[model.version] = content

    def stop(self) -> None:
        self._end.set()
        self.join(timeout=120)

    def check(self, target: Path) -> None:
        """Every acknowledged version is there with its bytes, once."""
        versions = sorted(m.version for m in _models(self._workspace, self._name))
        assert len(versions) == len(set(versions))
        assert set(self.acknowledged) <= set(versions)
        assert len(versions) <= len(self.acknowledged) + len(self.refused), (versions, self.refused)
        for model in _models(self._workspace, self._name):
            if model.version in self.acknowledged:
                path = model.download(str(target / str(model.version)))
                assert Path(path).read_text() == self.acknowledged[model.version]


def std_log(run: Any) -> list[str]:
    """The numbered lines a run has printed, by the yard's word."""
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "log.txt"
        run.download_file("user_logs/std_log.txt", str(target))
        return [line for line in target.read_text().splitlines() if line.startswith("line ")]
