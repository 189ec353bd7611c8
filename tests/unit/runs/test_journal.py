"""The journal file under threads, forks and a full disk."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from modelyard import errors
from modelyard.runs import records
from modelyard.runs.journal import Journal


def test_records_of_many_threads_are_whole_lines(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "run")
    threads = [
        threading.Thread(
            target=lambda n=n: [journal.write(records.scalar("a", n * 1000 + i)) for i in range(500)]
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "run.jsonl").read_text().splitlines()
    assert {json.loads(line)["v"] for line in lines} == {n * 1000 + i for n in range(4) for i in range(500)}
    assert journal.size() == os.path.getsize(journal.path)
    journal.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_appends_to_the_same_journal(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "run")
    journal.write(records.scalar("a", 1))
    child = os.fork()
    if child == 0:
        journal.write(records.scalar("a", 2))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    journal.write(records.scalar("a", 3))
    lines = Path(journal.path).read_text().splitlines()
    assert [json.loads(line)["v"] for line in lines] == [1, 2, 3]
    journal.close()


def test_a_full_disk_is_said_plainly() -> None:
    journal = Journal.__new__(Journal)
    journal.path, journal.source, journal._is_torn = "/dev/full", "full", False
    journal._fd = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(errors.AzureMLException, match="no space is left"):
        journal.write(records.scalar("a", 1))
    journal.close()


def test_after_a_torn_line_the_next_record_begins_a_line_of_its_own(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path), "run")
    os.write(journal._fd, b'{"k":"m","n"')
    journal._is_torn = True
    journal.write(records.scalar("a", 1))
    lines = Path(journal.path).read_bytes().splitlines()
    assert json.loads(lines[1])["v"] == 1
    journal.close()
