from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from modelyard import gitinfo


def _git(directory: Path, *args: str) -> str:
    command = ["git", "-C", str(directory), "-c", "user.name=T", "-c", "user.email=t@example.org", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    _git(root, "init", "-q", "-b", "work")
    (root / "train.py").write_text("print(1)\n")
    _git(root, "add", ".")
    _git(root, "commit", "-qm", "first")
    _git(root, "remote", "add", "origin", "https://user:secret@example.org/a/b.git?token=t")
    return root


def test_a_clean_repository_tells_remote_branch_and_commit(repository: Path) -> None:
    found = gitinfo.properties(str(repository), {})
    commit = _git(repository, "rev-parse", "HEAD")
    assert found == {
        "azureml.git.repository_uri": "https://example.org/a/b.git",
        "mlflow.source.git.repoURL": "https://example.org/a/b.git",
        "azureml.git.branch": "work",
        "mlflow.source.git.branch": "work",
        "azureml.git.commit": commit,
        "mlflow.source.git.commit": commit,
        "azureml.git.dirty": "False",
    }
    assert gitinfo.dirty_diff(str(repository)) == b""


def test_a_changed_file_makes_it_dirty_and_is_in_the_diff(repository: Path) -> None:
    (repository / "train.py").write_text("print(2)\n")
    (repository / "new.py").write_text("x\n")
    assert gitinfo.properties(str(repository), {})["azureml.git.dirty"] == "True"
    diff = gitinfo.dirty_diff(str(repository)).decode()
    assert "-print(1)\n+print(2)\n" in diff
    assert diff.endswith("# new file: new.py\n")


def test_a_subdirectory_is_judged_by_itself(repository: Path) -> None:
    (repository / "sub").mkdir()
    (repository / "sub" / "a.py").write_text("1")
    _git(repository, "add", ".")
    _git(repository, "commit", "-qm", "sub")
    (repository / "train.py").write_text("changed")
    assert gitinfo.properties(str(repository / "sub"), {})["azureml.git.dirty"] == "False"


def test_a_long_diff_is_cut_at_a_line_and_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitinfo, "MAX_DIFF_BYTES", 300)
    (repository / "train.py").write_text("".join(f"line {i}\n" for i in range(1000)))
    diff = gitinfo.dirty_diff(str(repository))
    assert len(diff) < 400
    assert diff.splitlines()[-1].startswith(b"# cut here: ")


def test_a_detached_head_has_no_branch_and_a_new_repository_no_commit(
    repository: Path, tmp_path: Path
) -> None:
    _git(repository, "checkout", "-q", "--detach")
    assert "azureml.git.branch" not in gitinfo.properties(str(repository), {})
    (tmp_path / "fresh").mkdir()
    _git(tmp_path / "fresh", "init", "-q", "-b", "main")
    found = gitinfo.properties(str(tmp_path / "fresh"), {})
    assert "azureml.git.commit" not in found
    assert found["azureml.git.branch"] == "main"


def test_outside_a_repository_or_without_git_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gitinfo.properties(str(tmp_path), {}) == {}
    assert gitinfo.dirty_diff(str(tmp_path)) == b""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gitinfo.properties(str(tmp_path), {}) == {}


def test_variables_win_over_the_repository(repository: Path) -> None:
    given = {
        "AZUREML_GIT_BRANCH": "release",
        "AZUREML_GIT_BUILD_ID": "77",
        "AZUREML_GIT_BUILD_URI": "https://u:p@ci.example.org/77",
        "AZUREML_GIT_REPOSITORY_URI": "https://tok@example.org/x",
        "AZUREML_GIT_DIRTY": "True",
    }
    found = gitinfo.properties(str(repository), given)
    assert found["azureml.git.branch"] == found["mlflow.source.git.branch"] == "release"
    assert found["azureml.git.build_id"] == "77"
    assert found["azureml.git.build_uri"] == "https://ci.example.org/77"
    assert found["azureml.git.repository_uri"] == "https://example.org/x"
    assert found["azureml.git.dirty"] == "True"


@pytest.mark.parametrize(
    ("uri", "clean"),
    [
        ("https://user:pw@example.org/a.git", "https://example.org/a.git"),
        ("https://token@example.org:8443/a.git#x", "https://example.org:8443/a.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("ssh://git:pw@example.org/a.git", "ssh://git@example.org/a.git"),
        ("https://p@ss:w@rd@example.org/a", "https://example.org/a"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("http://[bad/", ""),
    ],
)
def test_credentials_are_taken_out_of_addresses(uri: str, clean: str) -> None:
    assert gitinfo.without_credentials(uri) == clean


def test_the_users_index_is_left_alone(repository: Path) -> None:
    before = (repository / ".git" / "index").stat().st_mtime_ns
    (repository / "train.py").touch()
    gitinfo.properties(str(repository), {})
    gitinfo.dirty_diff(str(repository))
    assert (repository / ".git" / "index").stat().st_mtime_ns == before
