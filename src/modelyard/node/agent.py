"""The agent: one process per node. It asks the yard for work, keeps run hosts and service keepers, and lets them go.

    python -m modelyard.node.agent --home HOME --url URL [--slots N] [--node NAME]

It may be killed at any moment: runs and services go on, and the next agent takes them up from the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from modelyard import machine
from modelyard.node import bundle, processes, records
from modelyard.node.builds import Builds
from modelyard.node.hosts import Hosts
from modelyard.node.link import Away, Link, Pause, Refused
from modelyard.node.runs_here import RunsHere
from modelyard.node.services import ServicesHere
from modelyard.node.trees import Trees
from modelyard.wire.compute import NodePoll, NodeWork

log = logging.getLogger("modelyard.agent")

_POLL_S = 20.0
_ANSWER_S = 30.0  # on top of the time a poll may wait
_NOTHING_NEW_S = 0.5  # between polls that repeat what is being done already
_TEND_S = 1.0


class Agent:
    """Asks for work in the main thread; a second thread tends what is here."""

    def __init__(self, home: Path, url: str, node: str, slots: int) -> None:
        # Imported here: `--help` and a second agent that finds the lock taken need no resolver.
        from modelyard.node.environments.builder import Builder

        self._home = home
        self._node = node
        self._slots = slots
        self._directory = home / "node"
        logs = self._directory / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._stop = threading.Event()
        self._hosts = Hosts(logs)
        self._hosts.tend()  # the fork server starts while the rest is set up
        self._link = Link(home, self._token(), url)
        sdk = bundle.build(self._directory / "sdk")
        builder = Builder(self._directory / "environments")
        builds = Builds(builder, self._directory / "environments", node, self._link)
        trees = Trees(self._directory / "cache")
        self._runs = RunsHere(home, self._hosts, trees, builds, sdk)
        self._services = ServicesHere(home, self._link, trees, builds, sdk)
        self._machine = machine.record()
        records.write(self._directory / "machine.json", self._machine, durable=False, mode=0o644)
        self._last: tuple[object, ...] = ()
        threading.Thread(target=bundle.compile_for, args=(sdk, sys.executable), daemon=True).start()

    def run(self) -> None:
        self._services.adopt()
        self._runs.adopt()
        tending = threading.Thread(target=self._tend, name="tend", daemon=True)
        tending.start()
        pause = Pause(self._stop)
        away = False
        while not self._stop.is_set():
            try:
                work = self._poll()
                pause.reset()
                if away:
                    log.info("the yard is back at %s", self._link.url)
                away = False
                self._do(work)
                continue
            except Away as error:
                if not away:
                    log.warning("%s", error)
                away = True
            except Refused as error:
                log.error("the yard refuses this node: %s", error)
                self._link.use(self._token())
            if not self._directory.is_dir():
                log.error("%s is gone; ending", self._directory)
                break
            pause.wait()

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        """Let go of runs and services; they go on."""
        self._stop.set()
        self._services.let_go()
        self._hosts.close()

    def _poll(self) -> NodeWork:
        poll = NodePoll(
            node=self._node,
            slots=self._slots,
            running=self._runs.running(),
            services=self._services.running(),
            machine=self._machine,
            wait_s=_POLL_S,
        )
        return self._link.ask(NodeWork, "POST", "/api/v1/nodes/poll", poll, timeout_s=_POLL_S + _ANSWER_S)

    def _do(self, work: NodeWork) -> None:
        for assignment in work.starts:
            log.info("run %s comes to this node", assignment.run_id)
            self._runs.take(assignment)
        for run_id in work.cancel:
            self._runs.cancel(run_id)
        for run_id in work.forget:
            self._runs.forget(run_id)
        for service in work.services:
            self._services.take(service)
        # The yard repeats what is not done yet; while it does nothing but that, don't ask at full speed.
        signs = (
            tuple(work.cancel),
            tuple(work.forget),
            tuple((s.endpoint_id, s.revision) for s in work.services),
        )
        if any(signs) and not work.starts and signs == self._last:
            self._stop.wait(_NOTHING_NEW_S)
        self._last = signs

    def _tend(self) -> None:
        while not self._stop.wait(_TEND_S):
            try:
                self._hosts.tend()
                self._runs.tend()
                self._services.tend()
            except Exception:  # the agent's main loop: nothing that happens to one run may end the node
                log.exception("tending failed; trying again")

    def _token(self) -> str:
        try:
            return (self._directory / "node.token").read_text("ascii").strip()
        except OSError as error:
            log.error("this node has no token: %s", error)
            return ""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m modelyard.node.agent", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--url", default="")
    parser.add_argument("--node", default="local")
    parser.add_argument(
        "--slots",
        type=int,
        default=int(os.environ.get("MODELYARD_SLOTS") or 0),
        help="runs at once; 0: one a core",
    )
    given = parser.parse_args(arguments)
    home = given.home.absolute()
    (home / "node").mkdir(parents=True, exist_ok=True)
    held = records.lock(home / "node" / "agent.lock")
    if held is None:
        sys.stdout.write(f"An agent runs for {home} already; nothing to do.\n")
        return 0
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    me = os.getpid()
    records.write(home / "node" / "agent.json", {"pid": me, "start": processes.started(me)}, mode=0o644)
    agent = Agent(home, given.url, given.node, given.slots or os.cpu_count() or 1)

    def leave(_number: int, _frame: object) -> None:
        agent.stop()
        raise SystemExit(0)  # out of the poll that waits

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    with contextlib.suppress(SystemExit):
        agent.run()
    agent.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
