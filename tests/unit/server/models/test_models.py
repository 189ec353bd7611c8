from __future__ import annotations

import threading

import pytest
from small_yard import SmallYard

from modelyard import errors
from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.models.store import Search
from modelyard.wire.artifacts import FileEntry, FileList
from modelyard.wire.models import ModelInfo, ModelPage, ModelRegister, ModelUpdate

_ids = iter(range(10**9))


def _body(yard: SmallYard, name: str = "churn", **given: object) -> ModelRegister:
    fields: dict[str, object] = {
        "name": name,
        "request_id": f"r{next(_ids)}",
        "entries": yard.keep(b"model"),
        **given,
    }
    return ModelRegister(**fields)  # type: ignore[arg-type]  # fields by name


def _register(yard: SmallYard, name: str = "churn", **given: object) -> ModelInfo:
    return yard.models.register(yard.workspace_id, _body(yard, name, **given))


def test_versions_count_from_one_for_each_name(lower_yard: SmallYard) -> None:
    assert [_register(lower_yard, n).id for n in ("a", "a", "b", "a")] == ["a:1", "a:2", "b:1", "a:3"]
    assert lower_yard.models.get(lower_yard.workspace_id, "a").version == 3
    assert lower_yard.models.get(lower_yard.workspace_id, "a", 2).version == 2


def test_registering_at_once_leaves_no_gap_and_no_double(lower_yard: SmallYard) -> None:
    bodies = [_body(lower_yard) for _ in range(40)]
    found: list[int] = []

    def work(part: list[ModelRegister]) -> None:
        for body in part:
            found.append(lower_yard.models.register(lower_yard.workspace_id, body).version)

    threads = [threading.Thread(target=work, args=(bodies[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 41))


def test_a_refused_registration_takes_no_version(lower_yard: SmallYard) -> None:
    _register(lower_yard)
    with pytest.raises(Invalid, match="not here yet"):
        _register(lower_yard, entries=[FileEntry("x", "0" * 64, 1)])
    with pytest.raises(Invalid):
        _register(lower_yard, entries=[FileEntry("../x", lower_yard.keep(b"1")[0].hash, 1)])
    assert _register(lower_yard).version == 2


def test_a_repeated_request_registers_once_even_at_once(lower_yard: SmallYard) -> None:
    body = _body(lower_yard)
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(lower_yard.models.register(lower_yard.workspace_id, body).id)
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["churn:1"] * 6
    with pytest.raises(Conflict, match="send a new one"):
        _register(lower_yard, "other", request_id=body.request_id)


@pytest.mark.parametrize(
    "name", ["", " ", "..", "x.", "a/b", "a\\b", "a:1", "x" * 256, "a\0", "a\n", "%2e%2e", "\ud800"]
)
def test_a_bad_name_is_refused(lower_yard: SmallYard, name: str) -> None:
    with pytest.raises(Invalid, match="Model name"):
        _register(lower_yard, name)


def test_a_version_is_not_given_out_again_after_deletion(lower_yard: SmallYard) -> None:
    _register(lower_yard)
    _register(lower_yard)
    lower_yard.models.trash(lower_yard.workspace_id, "churn", 2)
    assert lower_yard.models.get(lower_yard.workspace_id, "churn").version == 1
    assert _register(lower_yard).version == 3


def test_a_model_that_an_endpoint_serves_is_not_deleted(lower_yard: SmallYard) -> None:
    _register(lower_yard)
    lower_yard.models.in_use = lambda tx, workspace_id, name, version: ["churn-prod"]
    with pytest.raises(Conflict) as caught:
        lower_yard.models.trash(lower_yard.workspace_id, "churn", 1)
    assert caught.value.detail == (
        "Model 'churn' version 1 is served by endpoint 'churn-prod'. Delete or update the endpoint first."
    )
    assert lower_yard.models.get(lower_yard.workspace_id, "churn").endpoints == ["churn-prod"]


def test_a_property_is_set_once_and_a_tag_as_often_as_wanted(lower_yard: SmallYard) -> None:
    _register(lower_yard, tags={"stage": "dev", "old": "1"}, properties={"auc": "0.9"})

    def update(**given: object) -> ModelInfo:
        body = ModelUpdate(**given)  # type: ignore[arg-type]  # fields by name
        return lower_yard.models.update(lower_yard.workspace_id, "churn", None, body)

    with pytest.raises(Conflict, match=r"'auc' of model churn:1 is '0\.9'"):
        update(add_properties={"auc": "0.8", "new": "x"})
    info = update(
        add_properties={"auc": "0.9", "n": "1"},
        set_tags={"stage": "prod"},
        remove_tags=["old"],
        description="d",
    )
    assert info == lower_yard.models.get(lower_yard.workspace_id, "churn")
    assert (info.tags, info.properties, info.description) == (
        {"stage": "prod"},
        {"auc": "0.9", "n": "1"},
        "d",
    )
    found = {
        label: [m.id for m in lower_yard.models.list(lower_yard.workspace_id, Search(tags=[label])).items]
        for label in ("stage", "stage=prod", "stage=dev", "old")
    }
    assert found == {"stage": ["churn:1"], "stage=prod": ["churn:1"], "stage=dev": [], "old": []}


def test_a_list_is_narrowed_by_everything_given(lower_yard: SmallYard) -> None:
    _register(lower_yard, "a", tags={"x": "1"}, framework="Onnx")
    _register(lower_yard, "a", tags={"x": "1", "y": "a=b"}, properties={"p": "q"})
    _register(lower_yard, "b", tags={"x": "2"})

    def ids(**given: object) -> list[str]:
        return [m.id for m in lower_yard.models.list(lower_yard.workspace_id, Search(**given)).items]  # type: ignore[arg-type]

    assert ids() == ["b:1", "a:2", "a:1"]
    assert ids(latest=True) == ["b:1", "a:2"]
    assert ids(name="a", tags=["x=1", "y"]) == ["a:2"]
    assert ids(tags=["y=a=b"], properties=["p=q"]) == ["a:2"]
    assert ids(framework="Onnx") == ["a:1"]
    assert ids(framework="Onnx", latest=True) == []
    assert ids(run_id="r") == []


def test_pages_follow_one_another_without_gap_or_double(lower_yard: SmallYard) -> None:
    for _ in range(7):
        _register(lower_yard)
    client, seen, after = lower_yard.client(), [], ""
    while True:
        page = client.request(
            "GET", lower_yard.path("/models"), query={"limit": 3, "after": after or None}, kind=ModelPage
        )
        seen += [m.version for m in page.items]
        if page.next is None:
            break
        after = page.next
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    for query in ({"after": "x"}, {"limit": 0}, {"limit": 5000}, {"after": "9" * 30}):
        with pytest.raises(errors.RequestRefused):
            client.request("GET", lower_yard.path("/models"), query=query)


def test_a_run_s_folder_becomes_a_model_under_its_last_name(lower_yard: SmallYard) -> None:
    (held,) = lower_yard.keep(b"w")
    files = [FileEntry(f"outputs/net/{n}", held.hash, 1) for n in ("w.bin", "sub/v.bin")]
    lower_yard.models.run_files = lambda wid, run_id, path: [f for f in files if f.path.startswith(path)]
    lower_yard.models.run_experiment = lambda wid, run_id: "exp"

    def paths(run_path: str) -> list[str]:
        info = _register(lower_yard, entries=[], run_id="run1", run_path=run_path)
        assert (info.run_id, info.experiment, info.is_folder) == ("run1", "exp", "/" in info_paths(info)[0])
        return info_paths(info)

    def info_paths(info: ModelInfo) -> list[str]:
        return [e.path for e in lower_yard.models.files(lower_yard.workspace_id, "churn", info.version)]

    assert paths("outputs/net") == ["net/sub/v.bin", "net/w.bin"]
    assert paths("./outputs/net/w.bin") == ["w.bin"]
    assert paths("outputs/") == ["outputs/net/sub/v.bin", "outputs/net/w.bin"]
    assert paths(".") == ["outputs/net/sub/v.bin", "outputs/net/w.bin"]
    with pytest.raises(NotFound, match="Run 'run1' has no file or folder 'outputs/none'"):
        paths("outputs/none")


def test_a_model_needs_files_from_one_place(lower_yard: SmallYard) -> None:
    with pytest.raises(Invalid, match="needs files"):
        _register(lower_yard, entries=[])
    with pytest.raises(Invalid, match="not both"):
        _register(lower_yard, run_id="r", run_path="outputs")


def test_a_run_registers_its_own_files_but_not_another_s(lower_yard: SmallYard) -> None:
    (held,) = lower_yard.keep(b"w")
    lower_yard.models.run_files = lambda wid, run_id, path: [FileEntry("outputs/m", held.hash, 1)]
    client = lower_yard.client(lower_yard.run_token("run1"))
    body = ModelRegister("m", "q1", run_id="run1", run_path="outputs/m")
    assert client.request("POST", lower_yard.path("/models"), body, kind=ModelInfo).run_id == "run1"
    with pytest.raises(errors.AuthenticationException, match="itself and its child runs"):
        client.request(
            "POST", lower_yard.path("/models"), ModelRegister("m", "q2", run_id="run2", run_path="outputs/m")
        )
    with pytest.raises(errors.AuthenticationException):
        client.request("DELETE", lower_yard.path("/models/m/versions/1"))


def test_files_are_listed_and_read_over_http(lower_yard: SmallYard) -> None:
    _register(lower_yard)
    client = lower_yard.client()
    base = lower_yard.path("/models/churn/versions/latest")
    assert [f.path for f in client.request("GET", base + "/files", kind=FileList).items] == ["f0"]
    assert client.raw("GET", base + "/files/f0").body == b"model"
    for path in ("/files/nope", "/files/../../x"):
        with pytest.raises(errors.RequestRefused):
            client.raw("GET", base + path)
    for version in ("0", "x", "-1", "9" * 40):
        with pytest.raises(errors.RequestRefused):
            client.request("GET", lower_yard.path(f"/models/churn/versions/{version}"))


def test_a_missing_version_says_which_are_there(lower_yard: SmallYard) -> None:
    _register(lower_yard)
    with pytest.raises(NotFound, match=r"'churn' has no version 9. It has: 1\."):
        lower_yard.models.get(lower_yard.workspace_id, "churn", 9)
    with pytest.raises(NotFound, match="no model 'nope'"):
        lower_yard.models.get(lower_yard.workspace_id, "nope")
