from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.wire.artifacts import FileEntry
from modelyard.wire.trees import manifest, parse_manifest, path_problem, tree_id, tree_problem

# Published traversal and naming tricks, each as it would arrive.
HOSTILE = [
    "", ".", "..", "../x", "a/../x", "a/..", "./x", "a/./x", "a//x", "/etc/passwd", "//etc/passwd", "a/", "..\\x", "a\\b",
    "C:\\x", "C:/x", "c:x", "\\\\?\\C:\\x", "\\\\server\\share", "file:///etc/passwd", "file:/etc/passwd", "http://h/x",
    "s3://b/x", "a\0b", "a\nb", "a\rb", "a\tb", "a\x7fb", "a\x1b[31m", "a\x85b", "a\u2028b", "a\u202egpj.exe",
    "%2e%2e%2f", "%2e%2e/x", "..%2fx", "%252e%252e%252fx", "a%5cb", "a%00b", "%c0%ae%c0%ae/x", "x.", "x ", "a./b", "... /x",
    "a" * 256, "é" * 128, "/".join(["a" * 100] * 11), "\ud800",
]  # fmt: skip

HARMLESS = [
    "train.py", "outputs/model.pkl", ".amlignore", ".azureml/config.json", "a b/c d.txt", "naïve/文件.txt", "..a", "a..b",
    "...x", "50%.txt", "ab:c/d", "logs/12:30.txt", "x~", "~", "-rf", "$HOME", "a;b", "a?b", "a#b", "@", "a" * 255, "CON",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE, ids=ascii)
def test_a_hostile_path_is_refused(path: str) -> None:
    assert path_problem(path)
    assert tree_problem(["ok.txt", path])


@pytest.mark.parametrize("path", HARMLESS, ids=ascii)
def test_an_ordinary_path_is_taken(path: str) -> None:
    assert path_problem(path) == ""


@pytest.mark.parametrize(
    ("paths", "word"),
    [
        (["a", "a"], "twice"),
        (["a", "a/b"], "file and a directory"),
        (["a/b/c", "a/b"], "file and a directory"),
    ],
)
def test_paths_that_would_overwrite_each_other_are_no_tree(paths: list[str], word: str) -> None:
    assert word in tree_problem(paths)
    assert tree_problem(reversed(paths))


def test_paths_that_differ_only_in_case_are_a_tree() -> None:
    assert tree_problem(["README.md", "readme.md", "A/x", "a/y", "é.txt", "e\u0301.txt"]) == ""


_names = st.text("abcABC.-_ é", min_size=1, max_size=6).filter(lambda s: not path_problem(s))
_entries = st.builds(
    FileEntry,
    path=st.lists(_names, min_size=1, max_size=3).map("/".join),
    hash=st.sampled_from(["0" * 64, "ab" * 32]),
    size=st.integers(0, 1 << 50),
    executable=st.booleans(),
)


@given(st.lists(_entries, unique_by=lambda e: e.path))
def test_a_manifest_reads_back_whatever_the_order(entries: list[FileEntry]) -> None:
    assert sorted(parse_manifest(manifest(entries)), key=lambda e: e.path) == sorted(
        entries, key=lambda e: e.path
    )
    assert tree_id(entries) == tree_id(reversed(entries))


@given(st.lists(_entries, unique_by=lambda e: e.path, min_size=1))
def test_any_change_changes_the_id(entries: list[FileEntry]) -> None:
    first = entries[0]
    changed = FileEntry(first.path, first.hash, first.size, not first.executable)
    assert tree_id(entries) != tree_id([changed, *entries[1:]])
