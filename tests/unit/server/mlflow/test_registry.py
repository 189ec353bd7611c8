"""The model registry through MLflow's routes, over the same models as the yard's own."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

NAMES, VERSIONS = "registered-models", "model-versions"


@pytest.fixture
def model(face: Any) -> Any:
    """A run `r` with a model folder, and the registered model `churn`."""
    root = face.run("r")
    face.put(f"{root}/model/MLmodel", b"flavors: {}")
    face.put(f"{root}/model/model.pkl", b"pickle")
    face.ok("POST", f"{NAMES}/create", {"name": "churn"})
    return face


def _refused(face: Any, method: str, path: str, body: Any = None, /, **query: Any) -> tuple[int, str]:
    answer = face.call(method, f"api/2.0/mlflow/{path}", body, **query)
    return answer.status, answer.code


def _version(face: Any, source: str = "runs:/r/model", **given: Any) -> Any:
    body = {"name": "churn", "source": source, "run_id": "r", **given}
    return face.ok("POST", f"{VERSIONS}/create", body)["model_version"]


def test_a_version_made_by_mlflow_is_a_model_of_the_yard(model: Any) -> None:
    made = _version(model, tags=[{"key": "t", "value": "1"}], description="d")
    assert (made["version"], made["run_id"], made["status"], made["current_stage"]) == (
        "1",
        "r",
        "READY",
        "None",
    )
    own = model.own("GET", "models/churn/versions/1")
    assert (own["run_id"], own["tags"], own["description"], own["file_count"]) == ("r", {"t": "1"}, "d", 2)
    files = model.own("GET", "models/churn/versions/1/files")["items"]
    assert [f["path"] for f in files] == ["model/MLmodel", "model/model.pkl"]


def test_a_model_of_the_yard_is_registered_for_mlflow(model: Any) -> None:
    body = {"name": "v1-model", "request_id": "q", "run_id": "r", "run_path": "model/model.pkl"}
    model.own("POST", "models", body)
    found = model.ok("GET", f"{NAMES}/get", name="v1-model")["registered_model"]
    assert [v["version"] for v in found["latest_versions"]] == ["1"]
    uri = model.ok("GET", f"{VERSIONS}/get-download-uri", name="v1-model", version="1")["artifact_uri"]
    assert model.listed(uri.removeprefix("mlflow-artifacts:/")) == [
        {"path": "model.pkl", "is_dir": False, "file_size": 6}
    ]


def test_the_files_of_a_version_stay_what_they_were(model: Any) -> None:
    _version(model)
    uri = model.ok("GET", f"{VERSIONS}/get-download-uri", name="churn", version="1")["artifact_uri"]
    root = uri.removeprefix("mlflow-artifacts:/")
    listed = model.ok("GET", "artifacts/list", run_id="r")["root_uri"].removeprefix("mlflow-artifacts:/")
    model.put(f"{listed}/model/model.pkl", b"another")
    model.call("DELETE", f"api/2.0/mlflow-artifacts/artifacts/{listed}/model/MLmodel")
    assert [f["path"] for f in model.listed(root)] == ["MLmodel", "model.pkl"]
    assert model.get(f"{root}/model.pkl").content == b"pickle"
    assert model.put(f"{root}/model.pkl", b"x").code == "INVALID_PARAMETER_VALUE"
    assert model.call("GET", "model-versions/get-artifact", name="churn", version="1", path="MLmodel").content


@pytest.mark.parametrize(
    ("source", "given"),
    [
        ("runs:/r/model", {"run_id": None}),
        ("runs:/other/model", {}),
        ("runs://host/r/model", {}),
        ("runs:/r/../x/model", {}),
        ("file:///etc", {}),
        ("/etc/passwd", {}),
        ("C:\\x", {}),
        ("http://127.0.0.1/api/2.0/mlflow-artifacts/artifacts/../../etc", {}),
        ("mlflow-artifacts:/..%2f..%2fetc", {}),
        ("mlflow-artifacts://h/%252e%252e/%252e%252e/etc", {}),
        ("s3://bucket/../../x", {}),
        ("models:/m-00000000000000000000000000000000", {}),
        ("models://h/churn/1", {}),
    ],
)
def test_a_source_that_is_not_the_run_s_is_refused(model: Any, source: str, given: dict[str, Any]) -> None:
    body = {"name": "churn", "source": source, "run_id": "r", **given}
    status, code = _refused(model, "POST", f"{VERSIONS}/create", body)
    assert (status, code) in ((400, "INVALID_PARAMETER_VALUE"), (404, "RESOURCE_DOES_NOT_EXIST"))
    assert model.own("GET", "models")["items"] == []


def test_a_source_of_another_run_s_files_is_refused(model: Any) -> None:
    root = model.run("other")
    model.put(f"{root}/secret", b"s")
    body = {"name": "churn", "source": f"mlflow-artifacts:/{root}/secret", "run_id": "r"}
    assert _refused(model, "POST", f"{VERSIONS}/create", body) == (400, "INVALID_PARAMETER_VALUE")


def test_a_version_is_made_of_another_one(model: Any) -> None:
    _version(model)
    model.ok("POST", f"{NAMES}/alias", {"name": "churn", "alias": "champion", "version": "1"})
    model.ok("POST", f"{NAMES}/create", {"name": "copy"})
    for source in ("models:/churn/1", "models:/churn@champion", "models:/churn/latest", "models:/churn/None"):
        body = {"name": "copy", "source": source}
        made = model.ok("POST", f"{VERSIONS}/create", body)["model_version"]
        assert (made["source"], made["run_id"]) == ("models:/churn/1", "r")
    assert model.own("GET", "models/copy/versions/1")["file_count"] == 2


def test_an_address_elsewhere_is_noted_and_never_opened(model: Any) -> None:
    _version(model, "s3://bucket/model")
    uri = model.ok("GET", f"{VERSIONS}/get-download-uri", name="churn", version="1")["artifact_uri"]
    assert uri == "s3://bucket/model"


def test_what_an_endpoint_serves_is_not_deleted(model: Any) -> None:
    _version(model)
    spec = {"models": ["churn:1"], "entry_script": "s.py", "snapshot_id": _snapshot(model)}
    model.own("POST", "endpoints", {"name": "prod", "spec": spec})
    for method, path in (("DELETE", f"{VERSIONS}/delete"), ("DELETE", f"{NAMES}/delete")):
        answer = model.call(method, f"api/2.0/mlflow/{path}", {"name": "churn", "version": "1"})
        assert answer.status == 400
        assert "'prod'" in answer.json["message"]
    assert _refused(model, "POST", f"{NAMES}/rename", {"name": "churn", "new_name": "x"})[0] == 400
    model.ok("GET", f"{VERSIONS}/get", name="churn", version="1")


def _snapshot(face: Any) -> str:
    script = b"def init(): pass\ndef run(data): return 1\n"
    hash_ = hashlib.sha256(script).hexdigest()
    blobs = f"{face.url}/api/v1/workspaces/{face.workspace}/blobs"
    assert face.call("POST", blobs, content=f"{hash_} {len(script)}\n".encode() + script).status == 200
    made = face.own("POST", "snapshots", {"entries": [{"path": "s.py", "hash": hash_, "size": len(script)}]})
    return str(made["id"])


def test_stages_and_latest_versions(model: Any) -> None:
    for _ in range(3):
        _version(model)
    move = f"{VERSIONS}/transition-stage"
    model.ok("POST", move, {"name": "churn", "version": "1", "stage": "production"})
    body = {"name": "churn", "version": "2", "stage": "Production", "archive_existing_versions": True}
    assert model.ok("POST", move, body)["model_version"]["current_stage"] == "Production"
    for answer in (
        model.ok("POST", f"{NAMES}/get-latest-versions", {"name": "churn"}),
        model.ok("GET", f"{NAMES}/get-latest-versions", name="churn"),
    ):
        found = answer["model_versions"]
        assert [(v["version"], v["current_stage"]) for v in found] == [
            ("1", "Archived"), ("2", "Production"), ("3", "None"),
        ]  # fmt: skip
    body = {"name": "churn", "stages": ["production"]}
    assert len(model.ok("POST", f"{NAMES}/get-latest-versions", body)["model_versions"]) == 1
    assert _refused(model, "POST", move, {"name": "churn", "version": "1", "stage": "Live"}) == (
        400, "INVALID_PARAMETER_VALUE",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", f"{NAMES}/create", {}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", f"{NAMES}/create", {"name": "a/b"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", f"{NAMES}/create", {"name": ".."}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", f"{NAMES}/create", {"name": "churn"}, (400, "RESOURCE_ALREADY_EXISTS")),
        ("PATCH", f"{NAMES}/update", {"name": "none", "description": "d"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", f"{NAMES}/rename", {"name": "churn"}, (400, "INVALID_PARAMETER_VALUE")),
        ("DELETE", f"{NAMES}/delete", {"name": "none"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", f"{NAMES}/set-tag", {"name": "churn", "key": "a\nb"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", f"{NAMES}/alias", {"name": "churn", "alias": "latest", "version": "1"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", f"{NAMES}/alias", {"name": "churn", "alias": "a", "version": "1"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", f"{VERSIONS}/create", {"name": "churn"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", f"{VERSIONS}/create", {"name": "none", "source": "s3://b/x"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("PATCH", f"{VERSIONS}/update", {"name": "churn", "version": "x"}, (400, "INVALID_PARAMETER_VALUE")),
        ("DELETE", f"{VERSIONS}/delete", {"name": "churn", "version": "7"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", f"{VERSIONS}/set-tag", {"name": "churn", "version": "7", "key": "k"}, (404, "RESOURCE_DOES_NOT_EXIST")),
    ],
)  # fmt: skip
def test_wrong_requests_are_answered_with_mlflow_s_codes(
    model: Any, method: str, path: str, body: Any, expected: tuple[int, str]
) -> None:
    assert _refused(model, method, path, body) == expected


def test_searching_filters_orders_and_pages(model: Any) -> None:
    for name, team in (("alpha", "x"), ("beta", "y"), ("gamma", "x")):
        model.ok("POST", f"{NAMES}/create", {"name": name, "tags": [{"key": "team", "value": team}]})

    def found(**query: Any) -> list[str]:
        answer = model.ok("GET", f"{NAMES}/search", **query)
        return [m["name"] for m in answer.get("registered_models", [])]

    assert found() == ["alpha", "beta", "churn", "gamma"]
    assert found(filter="tags.team = 'x'", order_by=["name DESC"]) == ["gamma", "alpha"]
    assert found(filter="name LIKE '%eta' AND tags.team != 'x'") == ["beta"]
    assert found(filter="name IN ('alpha', 'churn')") == ["alpha", "churn"]
    first = model.ok("GET", f"{NAMES}/search", max_results=3)
    assert found(max_results=3, page_token=first["next_page_token"]) == ["gamma"]
    for wrong in ({"filter": "size > 3"}, {"order_by": ["size"]}, {"max_results": 0}, {"page_token": "x"}):
        assert _refused(model, "GET", f"{NAMES}/search", **wrong) == (400, "INVALID_PARAMETER_VALUE")


def test_versions_are_searched_by_name_run_and_number(model: Any) -> None:
    for _ in range(3):
        _version(model)

    def found(**query: Any) -> list[str]:
        answer = model.ok("GET", f"{VERSIONS}/search", **query)
        return [m["version"] for m in answer.get("model_versions", [])]

    assert found(filter="name = 'churn' and run_id = 'r'") == ["3", "2", "1"]
    assert found(filter="version_number > 1", order_by=["version_number ASC"]) == ["2", "3"]
    assert found(filter="source_path LIKE 'runs:%'", max_results=1) == ["3"]
    assert found(filter="name = 'none'") == []


def test_prompts_are_registered_models_that_only_those_see_who_ask(model: Any) -> None:
    tag = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    model.ok("POST", f"{NAMES}/create", {"name": "greet", "tags": tag})
    model.ok("POST", f"{VERSIONS}/create", {"name": "greet", "source": "dummy-source", "tags": tag})
    names = [m["name"] for m in model.ok("GET", f"{NAMES}/search")["registered_models"]]
    assert names == ["churn"]
    asked = model.ok("GET", f"{NAMES}/search", filter="tags.`mlflow.prompt.is_prompt` = 'true'")
    assert [m["name"] for m in asked["registered_models"]] == ["greet"]
    body = {"name": "churn", "source": "dummy-source"}
    assert _refused(model, "POST", f"{VERSIONS}/create", body)[0] == 400


def test_a_run_registers_promotes_and_does_not_delete(model: Any, run_face: Any) -> None:
    run = run_face("r")
    made = run.ok("POST", f"{VERSIONS}/create", {"name": "churn", "source": "runs:/r/model", "run_id": "r"})
    assert made["model_version"]["version"] == "1"
    run.ok("POST", f"{NAMES}/alias", {"name": "churn", "alias": "champion", "version": "1"})
    assert run.ok("GET", f"{NAMES}/alias", name="churn", alias="champion")["model_version"]["version"] == "1"
    assert _refused(run, "DELETE", f"{VERSIONS}/delete", {"name": "churn", "version": "1"}) == (
        403, "PERMISSION_DENIED",
    )  # fmt: skip
