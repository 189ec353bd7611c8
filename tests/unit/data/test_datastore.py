from __future__ import annotations

from pathlib import Path

import pytest
from small_yard import SmallYard

from modelyard import Datastore
from modelyard.data.datastore import AzureBlobDatastore
from modelyard.errors import AuthenticationException, Conflict, NotFound, NotYetAvailable, UserErrorException
from modelyard.workspace import Workspace


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "home"))
    for name, text in {"in/a.csv": "1,2", "in/sub/b.csv": "3,4", "c.txt": "c"}.items():
        file = tmp_path / "here" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def ws(lower_yard: SmallYard) -> Workspace:
    return Workspace._named("default", lower_yard.client())


def fetched(store: AzureBlobDatastore, prefix: str | None = None, target: str = "out") -> dict[str, str]:
    store.download(target, prefix, show_progress=False)
    return {str(f.relative_to(target)): f.read_text() for f in sorted(Path(target).rglob("*")) if f.is_file()}


def test_a_workspace_begins_with_its_default_datastore(ws: Workspace) -> None:
    store = ws.get_default_datastore()
    assert (store.name, store.datastore_type) == ("workspaceblobstore", "AzureBlob")
    assert isinstance(store, AzureBlobDatastore)
    assert list(ws.datastores) == ["workspaceblobstore"]
    assert Datastore(ws).name == Datastore(ws, "workspaceblobstore").name == Datastore.get_default(ws).name
    store.set_as_default()


def test_a_new_workspace_has_its_own(lower_yard: SmallYard, ws: Workspace) -> None:
    ws.get_default_datastore().upload("in", show_progress=False)
    lower_yard.client().request("POST", "/api/v1/workspaces", {"name": "other"})
    other = Workspace._named("other", lower_yard.client())
    assert fetched(other.get_default_datastore()) == {}
    other.delete()
    assert len(fetched(ws.get_default_datastore())) == 2


def test_a_folder_comes_back_as_it_went(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    store = ws.get_default_datastore()
    store.upload("in", "data/v1")
    assert "Uploaded 2 files" in capsys.readouterr().out
    assert fetched(store) == {"data/v1/a.csv": "1,2", "data/v1/sub/b.csv": "3,4"}
    assert fetched(store, "data/v1/sub", "some") == {"data/v1/sub/b.csv": "3,4"}
    assert fetched(store, "data/v1/a.csv", "one") == {"data/v1/a.csv": "1,2"}


def test_files_are_named_from_their_common_folder_on(ws: Workspace) -> None:
    store = ws.get_default_datastore()
    store.upload_files(["in/a.csv", "in/sub/b.csv"], target_path="x", show_progress=False)
    store.upload_files([str(Path("in/sub/b.csv").resolve())], show_progress=False)
    store.upload_files(["in/sub/b.csv"], relative_root=".", show_progress=False)
    assert list(fetched(store)) == ["b.csv", "in/sub/b.csv", "x/a.csv", "x/sub/b.csv"]


def test_what_is_there_is_left_alone_unless_overwrite(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ws.get_default_datastore()
    store.upload_files(["c.txt"], show_progress=False)
    Path("c.txt").write_text("new")
    store.upload_files(["c.txt"])
    assert capsys.readouterr().out == ("Target already exists. Skipping upload for c.txt\nUploaded 0 files\n")
    assert fetched(store, target="first") == {"c.txt": "c"}
    store.upload_files(["c.txt"], overwrite=True)
    assert fetched(store, target="second") == {"c.txt": "new"}
    assert store.download("first") == 0
    assert store.download("first", overwrite=True) == 1
    assert Path("first/c.txt").read_text() == "new"


@pytest.mark.parametrize(
    ("files", "root", "said"),
    [
        (["nowhere.csv"], None, "no file 'nowhere.csv'"),
        (["in"], None, "no file 'in'"),
        (["c.txt"], "in", "not below relative_root"),
        ([], None, "no files to upload"),
    ],
)
def test_files_that_can_not_go_up_are_named(
    ws: Workspace, files: list[str], root: str | None, said: str
) -> None:
    with pytest.raises(UserErrorException, match=said):
        ws.get_default_datastore().upload_files(files, relative_root=root)


def test_wrong_names_say_what_there_is(ws: Workspace) -> None:
    store = ws.get_default_datastore()
    with pytest.raises(NotFound, match=r"no datastore 'mine'.*'workspaceblobstore'"):
        Datastore.get(ws, "mine")
    with pytest.raises(NotFound, match="no datastore 'mine'"):
        ws.set_default_datastore("mine")
    with pytest.raises(NotFound, match="no file 'not/there'"):
        store.download("out", "not/there")
    with pytest.raises(UserErrorException, match="'gone' is not a folder"):
        store.upload("gone")
    with pytest.raises(UserErrorException, match="can't name a file"):
        store.upload("in", "../up")
    with pytest.raises(UserErrorException, match="stays with it"):
        store.unregister()


def test_a_file_can_not_be_a_folder_too(ws: Workspace) -> None:
    store = ws.get_default_datastore()
    store.upload_files(["c.txt"], target_path="x", show_progress=False)
    with pytest.raises(Conflict, match=r"'x/c\.txt', so nothing can be put below it"):
        store.upload_files(["in/a.csv"], target_path="x/c.txt", show_progress=False)
    store.upload("in", "y", show_progress=False)
    Path("sub").write_text("a file now")
    with pytest.raises(Conflict, match="files below 'y/sub'"):
        store.upload_files(["sub"], target_path="y", show_progress=False)


def test_what_is_not_there_yet_says_so(ws: Workspace) -> None:
    store = ws.get_default_datastore()
    for reference in (store.path, store.as_mount, store.as_download, store.as_upload):
        with pytest.raises(NotYetAvailable, match="not there yet"):
            reference()
    with pytest.raises(NotImplementedError, match=r"register_azure_blob_container is not there yet.*'mine'"):
        Datastore.register_azure_blob_container(ws, "mine", "container", "account")


def test_a_run_reads_the_datastore_and_does_not_change_it(lower_yard: SmallYard, ws: Workspace) -> None:
    ws.get_default_datastore().upload("in", show_progress=False)
    inside = Workspace._named("default", lower_yard.client(lower_yard.run_token("run-1")))
    store = inside.get_default_datastore()
    assert len(fetched(store)) == 2
    with pytest.raises(AuthenticationException, match="run-1 may not"):
        store.upload_files(["c.txt"])
