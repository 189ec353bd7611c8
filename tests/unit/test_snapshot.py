from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_yard import SmallYard, sha256

from modelyard import snapshot, stat_cache
from modelyard.errors import SnapshotException, UserErrorException
from modelyard.snapshot import Taken
from modelyard.wire.artifacts import FileEntry


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "cache-home"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return _write(tmp_path / "source", {"train.py": "print(1)\n", "data/a.txt": "a", "data/b.txt": "b"})


@pytest.fixture
def take(lower_yard: SmallYard) -> Callable[[Path], Taken]:
    return lambda directory: snapshot.take(lower_yard.client(), lower_yard.path, str(directory))


def _paths(directory: Path) -> list[str]:
    return [f.path for f in snapshot.walk(str(directory))]


def test_a_directory_becomes_a_snapshot_and_only_what_is_new_is_sent_again(
    source: Path, take: Callable[[Path], Taken]
) -> None:
    first = take(source)
    assert (first.file_count, first.uploaded_files, first.uploaded_bytes) == (3, 3, 11)
    again = take(source)
    assert (again.id, again.uploaded_files, again.uploaded_bytes) == (first.id, 0, 0)
    (source / "data/a.txt").write_text("changed")
    third = take(source)
    assert (third.uploaded_files, third.uploaded_bytes) == (1, 7)
    assert third.id != first.id


def test_a_large_directory_is_sent_in_batches_with_equal_files_once(
    tmp_path: Path, take: Callable[[Path], Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_BATCH_BYTES", 3_000_000)
    monkeypatch.setattr(snapshot, "_WORTH_OVERLAPPING", 1)
    (tmp_path / "big").mkdir()
    for i in range(12):
        (tmp_path / "big" / f"{i}.bin").write_bytes(bytes([i % 6]) * 1_000_000)
    taken = take(tmp_path / "big")
    assert (taken.file_count, taken.size_bytes) == (12, 12_000_000)
    assert (taken.uploaded_files, taken.uploaded_bytes) == (6, 6_000_000)


def test_amlignore_wins_over_gitignore(source: Path) -> None:
    _write(source, {".gitignore": "*.txt\n"})
    assert _paths(source) == [".gitignore", "train.py"]
    _write(source, {".amlignore": "train.py\n"})
    assert _paths(source) == [".amlignore", ".gitignore", "data/a.txt", "data/b.txt"]


IGNORE_CASES = [
    "data/\n", "/data\n", "*.txt\n!b.txt\n", "data/\n!data/b.txt\n", "data/*\n!data/b.txt\n", "**/b.txt\n", "a.txt\n",
    "# train.py\n", "\\#odd\n", "data/**\n", "d?ta\n", "data/[ab].txt\n", "*\n!*.py\n", "train.py   \n", "/*\n!/data\n",
    "deep/**/x\n", "*.py\r\n", "!train.py\n", "deep/*/x\n", "data\n", "x\n", "DATA/\n", "\n\n", "de*p/m\n",
    "!\n*.txt\n", "\ufeffdata\n", "q\x0cx\ntrain.py\n", "[[:alpha:]]\n", "[[]z]\n", "m/\n!deep\n", "deep/**/\n", "b\\ c  \n",
]  # fmt: skip


def _ignoring(root: Path, files: list[str], rules: dict[str, str]) -> Path:
    """A git repository with these files; `rules` are ignore files by their directory."""
    _write(root, dict.fromkeys(files, "1"))
    for directory, lines in rules.items():
        (root / directory).mkdir(exist_ok=True)
        (root / directory / ".gitignore").write_bytes(lines.encode())
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


def _left_by_git(root: Path) -> list[str]:
    listing = ["ls-files", "-z", "--others", "--exclude-standard"]
    command = ["git", "-C", str(root), "-c", "core.ignorecase=false", *listing]
    git = subprocess.run(command, check=True, capture_output=True, text=True)
    return sorted(p for p in git.stdout.split("\0") if p)


FILES = [
    "train.py",
    "data/a.txt",
    "data/b.txt",
    "deep/m/x",
    "deep/m/n/x",
    "#odd",
    "x/y.py",
    "data2",
    "b c/x.py",
]


@pytest.mark.parametrize("rules", IGNORE_CASES, ids=ascii)
def test_ignore_rules_mean_what_git_means(tmp_path: Path, rules: str) -> None:
    root = _ignoring(tmp_path / "r", FILES, {".": rules})
    assert _paths(root) == _left_by_git(root)


NESTED_CASES: list[dict[str, str]] = [
    {"data": "*\n"}, {".": "*.txt\n", "data": "!b.txt\n"}, {".": "data/\n", "data": "!b.txt\n"}, {"deep": "/m/n\n"},
    {".": "!x\n", "deep": "x\n", "deep/m": "!x\n"}, {"deep/m": "n/\n"}, {"x": "/y.py\n", "deep": "y.py\n"},
]  # fmt: skip


@pytest.mark.parametrize("rules", NESTED_CASES, ids=ascii)
def test_a_gitignore_in_a_directory_speaks_for_that_directory(tmp_path: Path, rules: dict[str, str]) -> None:
    root = _ignoring(tmp_path / "r", FILES, rules)
    assert _paths(root) == _left_by_git(root)


PIECES = [
    "data",
    "deep",
    "m",
    "n",
    "x",
    "*",
    "**",
    "?",
    "/",
    "/",
    "!",
    ".py",
    "[abx]",
    "[a-n]",
    "\\#odd",
    "b c",
    " ",
    "\\ ",
]
LINES = st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join), max_size=4).map(
    "\n".join
)


@settings(max_examples=60)
@given(top=LINES, below=LINES)
def test_any_ignore_rules_mean_what_git_means(
    tmp_path_factory: pytest.TempPathFactory, top: str, below: str
) -> None:
    root = _ignoring(tmp_path_factory.mktemp("any") / "r", FILES, {".": top, "deep": below})
    assert _paths(root) == _left_by_git(root)


def test_an_amlignore_speaks_alone(source: Path) -> None:
    _write(source, {".amlignore": "data/a.txt\n", "data/.gitignore": "*\n", ".gitignore": "*.py\n"})
    assert _paths(source) == [".amlignore", ".gitignore", "data/.gitignore", "data/b.txt", "train.py"]


def test_an_environment_that_ignores_itself_stays_behind(source: Path) -> None:
    """uv and venv write such a file, and the links in it lead outside."""
    _write(source, {".venv/.gitignore": "*\n", ".venv/lib/big.py": ""})
    os.symlink(sys.executable, source / ".venv" / "python")
    assert _paths(source) == ["data/a.txt", "data/b.txt", "train.py"]


def test_a_clear_line_says_how_to_get_the_library_for_ignore_files(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(source, {".amlignore": "x\n"})
    monkeypatch.setitem(sys.modules, "pathspec", None)
    with pytest.raises(UserErrorException, match=r"pip install 'pathspec"):
        snapshot.walk(str(source))


def test_links_inside_are_followed_and_others_refused(source: Path, tmp_path: Path) -> None:
    os.symlink("train.py", source / "alias.py")
    os.symlink("data", source / "more")
    assert _paths(source) == ["alias.py", "data/a.txt", "data/b.txt", "more/a.txt", "more/b.txt", "train.py"]
    secret = tmp_path / "secret"
    secret.write_text("s")
    os.symlink(secret, source / "leak")
    with pytest.raises(SnapshotException, match=r"'leak' leads outside .*secret"):
        snapshot.walk(str(source))
    _write(source, {".amlignore": "leak\n"})
    assert "leak" not in _paths(source)


def test_a_link_to_a_sibling_with_the_same_beginning_leads_outside(source: Path, tmp_path: Path) -> None:
    _write(tmp_path / "source-2", {"x": "1"})
    os.symlink(tmp_path / "source-2", source / "other")
    with pytest.raises(SnapshotException, match="leads outside"):
        snapshot.walk(str(source))


@pytest.mark.parametrize("target", [".", "..", "loop", "data/up"])
def test_a_link_that_goes_in_circles_or_nowhere_is_refused(source: Path, target: str) -> None:
    if target == "data/up":
        os.symlink("..", source / "data" / "up")
    else:
        os.symlink(target, source / "loop")
    with pytest.raises(SnapshotException, match=r"Symbolic link '(loop|data/up)'"):
        snapshot.walk(str(source))


def test_git_s_own_folder_and_sockets_stay_behind(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(source, {".git/config": "x", "sub/.git": "gitdir: x", ".github/x.yml": "x"})
    monkeypatch.chdir(source)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.sock")
        assert _paths(source) == [".github/x.yml", "data/a.txt", "data/b.txt", "train.py"]


def test_what_can_t_be_submitted_is_said(tmp_path: Path, take: Callable[[Path], Taken]) -> None:
    with pytest.raises(SnapshotException, match="does not exist"):
        take(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SnapshotException, match="no files to submit"):
        take(tmp_path / "empty")
    with pytest.raises(SnapshotException, match="holds a backslash"):
        take(_write(tmp_path / "odd", {"a\\b": "1"}))
    (tmp_path / "bytes").mkdir()
    (tmp_path / "bytes" / os.fsdecode(b"\xff.txt")).write_text("1")
    with pytest.raises(SnapshotException, match="not valid Unicode"):
        take(tmp_path / "bytes")


def test_a_file_that_changes_while_it_is_sent_is_named(
    source: Path, take: Callable[[Path], Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    send = snapshot._send

    def meddle(client: object, path: object, batch: object) -> None:
        (source / "train.py").write_text("print(2)\n")
        send(client, path, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot, "_send", meddle)
    with pytest.raises(SnapshotException, match=r"train\.py' changed while"):
        take(source)
    monkeypatch.undo()
    monkeypatch.setenv("MODELYARD_HOME", str(source.parent / "cache-home"))
    assert take(source).uploaded_files == 3


def test_a_snapshot_is_written_out_as_it_was(
    source: Path, lower_yard: SmallYard, take: Callable[[Path], Taken], tmp_path: Path
) -> None:
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    taken = take(source)
    written = snapshot.restore(lower_yard.client(), lower_yard.path, taken.id, str(tmp_path / "back"))
    assert written == ["data/a.txt", "data/b.txt", "run.sh", "train.py"]
    assert {n: (tmp_path / "back" / n).read_text() for n in written} == {
        n: (source / n).read_text() for n in written
    }
    assert os.access(tmp_path / "back" / "run.sh", os.X_OK)


@pytest.mark.parametrize("path", ["../x", "/tmp/x", "a/../../x", "C:/x"])
def test_an_unsafe_path_is_not_written_even_if_the_yard_says_so(
    lower_yard: SmallYard, tmp_path: Path, path: str
) -> None:
    (held,) = lower_yard.keep(b"x")
    with pytest.raises(SnapshotException, match="can't be written"):
        snapshot.materialise(
            lower_yard.client(), lower_yard.path, [FileEntry(path, held.hash, 1)], str(tmp_path / "t")
        )


def test_nothing_is_written_through_a_link_that_leads_outside(lower_yard: SmallYard, tmp_path: Path) -> None:
    (held,) = lower_yard.keep(b"x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "t").mkdir()
    os.symlink(tmp_path / "outside", tmp_path / "t" / "sub")
    with pytest.raises(SnapshotException, match="symbolic link"):
        snapshot.materialise(
            lower_yard.client(), lower_yard.path, [FileEntry("sub/x", held.hash, 1)], str(tmp_path / "t")
        )
    assert list((tmp_path / "outside").iterdir()) == []


def test_uploaded_files_keep_the_names_given(source: Path, lower_yard: SmallYard) -> None:
    done = snapshot.upload(
        lower_yard.client(),
        lower_yard.path,
        [("outputs/m.pkl", str(source / "train.py")), ("b", str(source / "train.py"))],
    )
    assert [(e.path, e.hash) for e in done.entries] == [
        ("outputs/m.pkl", sha256(b"print(1)\n")),
        ("b", sha256(b"print(1)\n")),
    ]
    assert done.uploaded_files == 1
    with pytest.raises(SnapshotException, match="can't be read"):
        snapshot.upload(lower_yard.client(), lower_yard.path, [("x", str(source / "none"))])


def test_a_file_that_vanishes_is_named(
    source: Path, take: Callable[[Path], Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = snapshot._found

    def then_remove(directory: str) -> list[snapshot.LocalFile]:
        found = walk(directory)
        (source / "train.py").unlink()
        return found

    monkeypatch.setattr(snapshot, "_found", then_remove)
    with pytest.raises(SnapshotException, match=r"train\.py can't be read: No such file"):
        take(source)


def test_an_unchanged_directory_is_not_read_again(
    source: Path, take: Callable[[Path], Taken], monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in source.rglob("*"):
        os.utime(file, (1_600_000_000, 1_600_000_000))
    for overlapping in (1, 1 << 30):
        monkeypatch.setattr(snapshot, "_WORTH_OVERLAPPING", overlapping)
        monkeypatch.setenv("MODELYARD_HOME", str(source.parent / f"home-{overlapping}"))
        take(source)
        with monkeypatch.context() as inside:
            inside.delattr(stat_cache, "sha256_file")
            assert take(source).uploaded_files == 0
