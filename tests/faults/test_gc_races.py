"""Uploads, deletions and garbage collections at once, all of the same few bytes: what a run names is always there."""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from whole_yard import W, WholeYard, open_yard

from modelyard.server.kernel.clock import SystemClock

_MEMORY = (
    "/dev/shm" if Path("/dev/shm").is_dir() else None
)  # more happens at once without waiting for the disk
WORKERS, ROUNDS = 4, 40
CONTENTS = [bytes([n]) * (2000 if n % 2 else 1_100_000) for n in range(6)]


@pytest.mark.timeout(300)
def test_no_file_of_a_run_is_lost_while_others_come_and_go(tmp_path: Path) -> None:
    home = Path(tempfile.mkdtemp(dir=_MEMORY)) if _MEMORY else tmp_path
    yard = open_yard(home, clock=SystemClock())
    done = threading.Event()
    seen: Counter[str] = Counter()
    threads = [threading.Thread(target=_work, args=(yard, n, seen)) for n in range(WORKERS)]
    collector = threading.Thread(target=_collect, args=(yard, done, seen))
    collector.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    collector.join()
    yard.round()
    left = yard.ids("?limit=1000&view=all")
    assert left
    for run_id in left:
        number = int(run_id.split("_")[2])
        assert yard.raw(f"{W}/runs/{run_id}/files/f") == CONTENTS[number]
    assert seen["kept"] == WORKERS * ROUNDS
    assert seen["collected"] > 3
    assert seen["purged"] > 10
    yard.yard.close()
    shutil.rmtree(home)


def _work(yard: WholeYard, worker: int, seen: Counter[str]) -> None:
    chance = random.Random(worker)
    for n in range(ROUNDS):
        number = chance.randrange(len(CONTENTS))
        run_id = f"w{worker}_{n}_{number}"
        body = {"run_id": run_id, "experiment": "e", "started": True}
        assert yard.call("POST", f"{W}/runs", body)["id"] == run_id
        while True:
            file = yard.try_to_keep(CONTENTS[number], "f")
            if file is None:
                seen["sent again"] += 1  # the same bytes were being removed
                continue
            answer = yard.call("POST", f"{W}/runs/{run_id}/files", {"entries": [file]})
            if "items" in answer:
                break
            assert answer["code"] == "blobs_missing", answer
            seen["missing"] += 1
        seen["kept"] += 1
        yard.call("POST", f"{W}/runs/{run_id}/status", {"status": "Completed"})
        if chance.random() < 0.7:
            yard.call("DELETE", f"{W}/runs/{run_id}")
            if chance.random() < 0.2:
                assert yard.call("POST", f"{W}/trash/restore", {"id": run_id})["id"] == run_id
            elif "id" in yard.call("POST", f"{W}/trash/empty", {"ids": [run_id]}):
                seen["purged"] += 1


def _collect(yard: WholeYard, done: threading.Event, seen: Counter[str]) -> None:
    while not done.is_set():
        yard.call("POST", "/api/v1/garbage", {"grace_s": 0})
        yard.round()
        seen["collected"] += 1
