from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small_yard import SmallYard

from modelyard.errors import Conflict, ModelNotFoundException, ModelPathNotFoundException, UserErrorException
from modelyard.models import Model
from modelyard.workspace import Workspace


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def ws(lower_yard: SmallYard) -> Workspace:
    return Workspace._named("default", lower_yard.client())


def _file(name: str, text: str = "m") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    return name


def _contents(folder: str) -> dict[str, str]:
    return {str(f.relative_to(folder)): f.read_text() for f in sorted(Path(folder).rglob("*")) if f.is_file()}


def test_a_file_is_registered_found_and_downloaded(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    model = Model.register(
        ws, _file("sub/model.pkl", "bytes"), "churn", tags={"area": "x", "n": 1}, properties={"p": "1"},
        description="d", model_framework=Model.Framework.SCIKITLEARN, model_framework_version="1.4",
    )  # fmt: skip
    assert "Registering model churn" in capsys.readouterr().out
    assert (model.id, model.name, model.version) == ("churn:1", "churn", 1)
    assert (model.tags, model.properties, model.description) == ({"area": "x", "n": "1"}, {"p": "1"}, "d")
    assert (model.model_framework, model.model_framework_version) == ("ScikitLearn", "1.4")
    assert model.run is None
    assert model.created_time.utcoffset() is not None
    path = model.download("out")
    assert (path, Path(path).read_text()) == (os.path.join("out", "model.pkl"), "bytes")
    with pytest.raises(UserErrorException, match="is there already"):
        model.download("out")
    assert model.download("out", exist_ok=True) == path


def test_a_folder_keeps_its_name_and_child_paths_choose_from_it(ws: Workspace) -> None:
    for name in ("net/a.bin", "net/sub/b.bin", "net/junk.tmp"):
        _file(name, name)
    whole = Model.register(ws, "net", "net")
    some = Model.register(ws, "net/", "net", child_paths=["sub", "a.bin"])
    assert whole.download("w") == os.path.join("w", "net")
    assert _contents("w/net") == {n: f"net/{n}" for n in ("a.bin", "junk.tmp", "sub/b.bin")}
    some.download("s")
    assert sorted(_contents("s/net")) == ["a.bin", "sub/b.bin"]
    with pytest.raises(UserErrorException, match="not inside"):
        Model.register(ws, "net", "net", child_paths=["../other"])
    several = Model.register(ws, [_file("one.txt"), "net/sub"], "list")
    assert several.download("l") == "l"
    assert sorted(_contents("l")) == ["one.txt", "sub/b.bin"]


def test_a_path_that_is_not_there_is_named(ws: Workspace) -> None:
    with pytest.raises(UserErrorException, match=r"'none\.pkl' does not exist"):
        Model.register(ws, "none.pkl", "m")
    Path("empty").mkdir()
    with pytest.raises(UserErrorException, match="holds no files"):
        Model.register(ws, "empty", "m")


def test_a_model_is_meant_by_name_id_version_or_labels(ws: Workspace) -> None:
    for stage in ("dev", "prod"):
        Model.register(ws, _file("m"), "a", tags={"stage": stage}, model_framework="Onnx")
    assert Model(ws, "a").version == 2
    assert Model(ws, "a", version=1).id == "a:1"
    assert Model(ws, id="a:1").version == 1
    assert Model(ws, "a", tags=[["stage", "dev"]]).version == 1
    assert Model(ws, tags={"stage": "prod"}).version == 2
    for wrong in ({"name": "nope"}, {"id": "a:9"}, {"name": "a", "tags": ["x"]}, {"name": "a", "version": 7}):
        with pytest.raises(ModelNotFoundException):
            Model(ws, **wrong)  # type: ignore[arg-type]  # by name
    with pytest.raises(UserErrorException):
        Model(ws, id="a:b")
    with pytest.raises(UserErrorException, match="Which model"):
        Model(ws)


def test_a_list_goes_over_all_pages(ws: Workspace) -> None:
    for i in range(5):
        Model.register(ws, _file("m"), f"m{i % 2}", tags={"i": str(i)})
    assert len(Model.list(ws, page_count=2)) == 5
    assert [m.id for m in Model.list(ws, latest=True)] == ["m0:3", "m1:2"]
    assert [m.id for m in Model.list(ws, name="m0", tags=["i", ["i", "2"]])] == ["m0:2"]


def test_tags_change_properties_don_t(ws: Workspace) -> None:
    model = Model.register(ws, _file("m"), "a", tags={"x": "1"}, properties={"p": "1"})
    model.add_tags({"y": "2"})
    model.remove_tags("x")
    model.add_properties({"q": "2"})
    with pytest.raises(Conflict, match="'p'"):
        model.add_properties({"p": "2"})
    model.update(tags={"z": "3"}, description="new")
    again = Model(ws, "a")
    assert (again.tags, again.properties, again.description) == ({"z": "3"}, {"p": "1", "q": "2"}, "new")
    assert (model.tags, model.description) == (again.tags, again.description)
    with pytest.raises(UserErrorException, match="must be a dictionary"):
        model.add_tags(["x"])  # type: ignore[arg-type]  # what is tested


def test_a_model_that_is_served_is_not_deleted(ws: Workspace, lower_yard: SmallYard) -> None:
    model = Model.register(ws, _file("m"), "a")
    lower_yard.models.in_use = lambda tx, workspace_id, name, version: ["e1", "e2"]
    with pytest.raises(Conflict, match="Model 'a' version 1 is served by endpoints 'e1' and 'e2'"):
        model.delete()
    lower_yard.models.in_use = lambda tx, workspace_id, name, version: []
    model.delete()
    with pytest.raises(ModelNotFoundException):
        Model(ws, "a")


def test_a_model_survives_its_serialised_form(ws: Workspace) -> None:
    model = Model.register(ws, _file("m"), "a", tags={"x": "1"})
    again = Model.deserialize(ws, model.serialize())
    assert again.serialize() == model.serialize()
    assert repr(again).startswith("Model(workspace=")


def test_in_a_run_the_path_is_downloaded_once(
    ws: Workspace, lower_yard: SmallYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    Model.register(ws, _file("src/model.pkl", "1"), "a")
    Model.register(ws, _file("src/model.pkl", "2"), "a")
    monkeypatch.setenv("AZUREML_RUN_TOKEN", lower_yard.run_token("run1"))
    monkeypatch.setenv("AZUREML_SERVICE_ENDPOINT", lower_yard.url)
    monkeypatch.setenv("AZUREML_ARM_WORKSPACE_NAME", "default")
    path = Model.get_model_path("a")
    assert (path, Path(path).read_text()) == (os.path.join("azureml-models", "a", "2", "model.pkl"), "2")
    Path(path).write_text("kept")
    assert Path(Model.get_model_path("a", version=2)).read_text() == "kept"
    assert Path(Model.get_model_path("a", 1)).read_text() == "1"
    with pytest.raises(ModelNotFoundException):
        Model.get_model_path("nope")
    assert sorted(os.listdir("azureml-models/a")) == ["1", "2"]


def test_in_a_service_the_path_is_below_the_model_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    _file("dir/azureml-models/a/2/model.pkl")
    _file("dir/azureml-models/a/10/model.pkl")
    _file("dir/azureml-models/b/1/net/x")
    _file("dir/azureml-models/b/1/net/y")
    monkeypatch.setenv("AZUREML_MODEL_DIR", os.path.abspath("dir/azureml-models"))
    root = os.path.abspath("dir/azureml-models")
    assert Model.get_model_path("a") == f"{root}/a/10/model.pkl"
    assert Model.get_model_path("a", 2) == f"{root}/a/2/model.pkl"
    assert Model.get_model_path("b") == f"{root}/b/1/net"
    monkeypatch.setenv("AZUREML_MODEL_DIR", f"{root}/a/2")
    assert Model.get_model_path("a") == f"{root}/a/2/model.pkl"
    for name, version in (("a", 10), ("c", None)):
        with pytest.raises(ModelPathNotFoundException, match="not among this service's models"):
            Model.get_model_path(name, version)


def test_outside_of_both_only_what_was_downloaded_is_found(ws: Workspace) -> None:
    Model.register(ws, _file("src/model.pkl", "1"), "a")
    with pytest.raises(ModelPathNotFoundException, match="download"):
        Model.get_model_path("a")
    assert Model.get_model_path("a", _workspace=ws) == os.path.join("azureml-models", "a", "1", "model.pkl")
    assert Model.get_model_path("a") == os.path.join("azureml-models", "a", "1", "model.pkl")


def test_a_run_registers_from_its_files(ws: Workspace, lower_yard: SmallYard) -> None:
    (held,) = lower_yard.keep(b"w")
    entry: Any = type(held)("outputs/m.pkl", held.hash, held.size)
    lower_yard.models.run_files = lambda wid, run_id, path: [entry] if path == "outputs/m.pkl" else []
    run = SimpleNamespace(id="run1", experiment=SimpleNamespace(workspace=ws))
    model = Model._register_from_run(run, "m", "outputs/m.pkl", tags={"a": "b"})
    assert (model.run_id, model.tags) == ("run1", {"a": "b"})
    assert os.path.basename(model.download(".")) == "m.pkl"


def test_deploying_is_found_where_endpoints_are() -> None:
    with pytest.raises(UserErrorException, match="needs a name"):
        Model.deploy(None, "", [])


def test_an_alias_and_a_stage_are_set_read_and_taken_away(ws: Workspace) -> None:
    first, second = (Model.register(ws, _file("m.pkl", text), "churn") for text in "ab")
    first.set_alias("champion")
    assert Model(ws, "churn@champion").version == 1
    second.set_alias("champion")
    assert (Model(ws, id="churn@champion").id, second.aliases) == ("churn:2", ["champion"])
    second.set_stage("Production")
    first.set_stage("production", archive_existing=True)
    assert (first.stage, Model(ws, "churn", version=2).stage) == ("Production", "Archived")
    second.delete_alias("champion")
    with pytest.raises(ModelNotFoundException, match="no alias"):
        Model(ws, "churn@champion")


@pytest.mark.parametrize("name", ["has space", "-x", ".x", "é", ""])
def test_a_name_that_v1_does_not_take_is_refused_before_anything_is_sent(ws: Workspace, name: str) -> None:
    with pytest.raises(UserErrorException, match="Model name"):
        Model.register(ws, _file("m.pkl"), name)
