"""The TensorBoard logs of runs, copied to this machine while they are written: only what is new, by offset."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Iterator, List, Set, Tuple

from modelyard import errors
from modelyard.runs import details, files
from modelyard.runs.scope import Scope
from modelyard.wire.runs import RunInfo
from modelyard.wire.trees import path_problem

EVENTS = "events.out.tfevents"
_NOT_IN_A_NAME = re.compile(r"[^\w.\- ]+")


class Logs:
    """Copies of the event files of some runs and the runs below them, below `root`.

    prefix: only files of the run below this path; empty for any place. by_name: folders are named as people named the runs.
    """

    def __init__(self, runs: List[Any], root: str, prefix: str = "", by_name: bool = False) -> None:
        self._runs: List[Tuple[Scope, str]] = [(run._scope, run.id) for run in runs]
        self._root = root
        self._prefix = prefix
        self._by_name = by_name
        self._done: Set[str] = set()
        self._folders: Dict[str, str] = {}
        self.count = 0  # of files that are here by now

    def pull(self) -> int:
        """Copy what is new; answers how many bytes that was. Raises YardUnavailable."""
        got = self.count = 0
        for scope, info in self._found():
            is_final = info.status in details.FINAL
            new = self._pull_run(scope, info)
            got += new
            if is_final and not new and not info.child_count:
                self._done.add(info.id)  # nothing comes any more
        return got

    def _found(self) -> Iterator[Tuple[Scope, RunInfo]]:
        for scope, run_id in self._runs:
            root = details.fetch(scope, run_id)
            yield scope, root
            if root.child_count:
                for info in details.children(scope, run_id, True, None, None, None, None):
                    yield scope, info

    def _pull_run(self, scope: Scope, info: RunInfo) -> int:
        got = 0
        folder = self._folder(info)
        for file in files.listed(scope, info.id):
            name = file.path.rpartition("/")[2]
            if EVENTS not in name or not file.path.startswith(self._prefix) or path_problem(file.path):
                continue
            self.count += 1
            local = os.path.join(folder, *file.path.split("/"))
            if info.id not in self._done:
                got += _pull_file(scope, info.id, file.path, local, file.size)
        return got

    def _folder(self, info: RunInfo) -> str:
        if info.id not in self._folders:
            name = info.id
            if self._by_name and info.display_name:
                name = _NOT_IN_A_NAME.sub("_", info.display_name).strip(". ") or info.id
                if name in self._folders.values():
                    name = f"{name} {info.id}"
            self._folders[info.id] = name
        return os.path.join(self._root, self._folders[info.id])


def _pull_file(scope: Scope, run_id: str, path: str, local: str, size: int) -> int:
    have = os.path.getsize(local) if os.path.exists(local) else 0
    if have > size:
        have = 0  # it was begun anew
        os.unlink(local)
    got = 0
    os.makedirs(os.path.dirname(local), exist_ok=True)
    with open(local, "ab") as file:
        while have < size:
            try:
                answer = scope.client.raw("GET", scope.run_path(run_id, "logs", path), query={"offset": have})
            except errors.NotFound:
                return got  # taken away meanwhile
            if not answer.body:
                return got
            file.write(answer.body)
            have += len(answer.body)
            got += len(answer.body)
    return got
