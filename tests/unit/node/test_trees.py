"""Trees of files on their way from the yard to the node."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from dataclasses import replace

import pytest

from modelyard.node.link import Away, Link
from modelyard.node.trees import BadTree, Trees
from modelyard.wire.artifacts import FileEntry

STOP = threading.Event()


@pytest.fixture
def trees(tmp_path):
    return Trees(tmp_path / "cache")


@pytest.fixture
def link(small_yard):
    link = Link(small_yard.home, "token")
    yield link
    link.close()


def test_a_snapshot_is_placed_and_a_second_time_needs_no_yard(small_yard, trees, link, tmp_path):
    small_yard.add_tree(
        "s1", {"train.py": b"print(1)", "data/a/b.bin": os.urandom(100_000), "copy.py": b"print(1)"}
    )
    entries = trees.snapshot(link, "ws", "s1")
    trees.place(link, "ws", entries, tmp_path / "code", STOP)
    assert (tmp_path / "code" / "copy.py").read_bytes() == b"print(1)"
    small_yard.close()
    (tmp_path / "code" / "train.py").write_text("changed by the script")
    again = trees.snapshot(link, "ws", "s1")
    trees.place(link, "ws", again, tmp_path / "other", STOP)
    assert (tmp_path / "other" / "train.py").read_bytes() == b"print(1)"
    assert (tmp_path / "other" / "data" / "a" / "b.bin").stat().st_size == 100_000


def test_a_cache_that_was_deleted_is_filled_again(small_yard, trees, link, tmp_path):
    small_yard.add_tree("s1", {"a.py": b"print(1)"})
    for target in ("code", "other"):
        trees.place(link, "ws", trees.snapshot(link, "ws", "s1"), tmp_path / target, STOP)
        assert (tmp_path / target / "a.py").read_bytes() == b"print(1)"
        shutil.rmtree(tmp_path / "cache")


def test_many_files_are_placed_as_few_are(small_yard, trees, link, tmp_path):
    files = {f"part-{i % 7}/Case-{i}": str(i).encode() for i in range(500)} | {
        "part-1/case-1": b"other",
        "run.sh": b"#!",
    }
    small_yard.add_tree("s1", files)
    entries = [replace(e, executable=e.path == "run.sh") for e in trees.snapshot(link, "ws", "s1")]
    trees.place(link, "ws", entries, tmp_path / "code", STOP)
    placed = {str(f.relative_to(tmp_path / "code")): f for f in (tmp_path / "code").rglob("*") if f.is_file()}
    assert {name: file.read_bytes() for name, file in placed.items()} == files
    assert placed["run.sh"].stat().st_mode & 0o111
    assert not placed["part-1/case-1"].stat().st_mode & 0o111


def test_two_names_that_are_one_here_are_refused(small_yard, trees, link, tmp_path):
    small_yard.add_tree("s1", {"a": b"x"})
    (entry,) = trees.snapshot(link, "ws", "s1")
    with pytest.raises(BadTree, match="only in case"):  # as a file system that folds case sees `a` and `A`
        trees.place(link, "ws", [entry, entry], tmp_path / "code", STOP)
    assert not (tmp_path / "code").exists()


def test_a_placing_that_is_given_up_leaves_nothing_half_done(small_yard, trees, link, tmp_path):
    small_yard.add_tree("s1", {"a": b"x"})
    entries = trees.snapshot(link, "ws", "s1")
    trees.fetch(link, "ws", entries, STOP)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Away):
        trees.place(link, "ws", entries, tmp_path / "code", stop)
    assert not (tmp_path / "code").exists()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//b", "", "a\\b", "."])
def test_a_path_out_of_the_tree_is_refused_before_anything_is_placed(small_yard, trees, link, tmp_path, path):
    small_yard.add_tree("s1", {"a": b"x"})
    entry = FileEntry(path, hashlib.sha256(b"x").hexdigest(), 1)
    with pytest.raises(BadTree):
        trees.place(link, "ws", [entry], tmp_path / "code", STOP)
    assert not (tmp_path / "code").exists()


def test_other_bytes_than_the_hash_says_are_refused(small_yard, trees, link, tmp_path):
    small_yard.add_tree("s1", {"a": b"x"})
    small_yard.blobs[hashlib.sha256(b"x").hexdigest()] = b"y"
    with pytest.raises(BadTree, match="other bytes"):
        trees.place(link, "ws", trees.snapshot(link, "ws", "s1"), tmp_path / "code", STOP)
    assert not (tmp_path / "code").exists()


def test_a_yard_that_is_away_is_said_so(small_yard, trees, link):
    small_yard.close()
    with pytest.raises(Away):
        trees.snapshot(link, "ws", "s1")
