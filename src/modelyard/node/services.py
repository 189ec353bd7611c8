"""The web services of this node: taken in, kept through restarts, reported, ended."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from pathlib import Path

from modelyard.node import records
from modelyard.node.builds import Builds
from modelyard.node.link import Link
from modelyard.node.service import Service
from modelyard.node.trees import Trees
from modelyard.wire import codec
from modelyard.wire.endpoints import ServiceAssignment

log = logging.getLogger(__name__)


class ServicesHere:
    """Everything under `node/services`; each service has a directory, a keeper process and a thread here."""

    def __init__(self, home: Path, link: Link, trees: Trees, builds: Builds, sdk: Path) -> None:
        self._root = home / "node" / "services"
        self._root.mkdir(parents=True, exist_ok=True)
        self._link = link
        self._trees = trees
        self._builds = builds
        self._sdk = sdk
        self._lock = threading.Lock()
        self._services: dict[str, Service] = {}

    def running(self) -> dict[str, int]:
        """Endpoint id → the revision that was taken in, until its last process and file are gone."""
        with self._lock:
            return {name: service.revision for name, service in self._services.items()}

    def adopt(self) -> None:
        """After a start: take up the services on disk, whether the yard answers or not."""
        for name in os.listdir(self._root):
            value = records.read(self._root / name / "assignment.json")
            if value is None:
                continue
            try:
                self._keep(codec.from_json(ServiceAssignment, value))
            except codec.DecodeError as error:
                log.error("service %s can't be taken up: %s", name, error)

    def take(self, assignment: ServiceAssignment) -> None:
        """A service to keep, in a revision perhaps new, or one to end."""
        if assignment.stop:
            with self._lock:
                service = self._services.get(assignment.endpoint_id)
            if service is not None:
                service.stop()
            return
        if os.path.basename(assignment.endpoint_id) != assignment.endpoint_id or assignment.endpoint_id[
            :1
        ] in ("", "."):
            log.error("endpoint id %r can't be a directory's name", assignment.endpoint_id)
            return
        directory = self._root / assignment.endpoint_id
        directory.mkdir(mode=0o700, exist_ok=True)
        records.write(directory / "assignment.json", assignment)
        self._keep(assignment)

    def tend(self) -> None:
        """Forget services that have ended; called about once a second."""
        with self._lock:
            for name in [n for n, s in self._services.items() if s.is_over]:
                shutil.rmtree(self._root / name, ignore_errors=True)
                del self._services[name]

    def let_go(self) -> None:
        """End the threads; keepers and their scoring hosts go on."""
        with self._lock:
            for service in self._services.values():
                service.let_go()

    def _keep(self, assignment: ServiceAssignment) -> None:
        with self._lock:
            service = self._services.get(assignment.endpoint_id)
            if service is not None:
                service.want(assignment)
                return
            service = Service(
                self._root / assignment.endpoint_id,
                assignment,
                self._link,
                self._trees,
                self._builds,
                self._sdk,
            )
            self._services[assignment.endpoint_id] = service
            service.start()
