"""Artifacts through MLflow's routes: what goes in and out, what is refused."""

from __future__ import annotations

import os
from typing import Any

import pytest

ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"


def test_what_is_brought_is_listed_downloaded_and_is_a_file_of_the_run(face: Any) -> None:
    root = face.run("r")
    assert face.put(f"{root}/model/MLmodel", b"flavors:").status == 200
    face.put(f"{root}/a file.txt", b"text")
    assert face.listed(root) == [
        {"path": "a file.txt", "is_dir": False, "file_size": 4},
        {"path": "model", "is_dir": True},
    ]
    assert face.listed(f"{root}/model") == [{"path": "MLmodel", "is_dir": False, "file_size": 8}]
    assert face.listed(f"{root}/model/MLmodel") == []
    assert face.get(f"{root}/a file.txt").content == b"text"
    own = face.own("GET", "runs/r/files")["items"]
    assert [f["path"] for f in own] == ["a file.txt", "model/MLmodel"]


def test_a_listing_of_a_run_has_whole_paths_and_pages(face: Any) -> None:
    root = face.run("r")
    for name in ("d/x", "d/sub/y", "z"):
        face.put(f"{root}/{name}", b"1")
    listed = face.ok("GET", "artifacts/list", run_id="r", path="d")
    assert listed == {
        "root_uri": f"mlflow-artifacts:/{root}",
        "files": [{"path": "d/sub", "is_dir": True}, {"path": "d/x", "is_dir": False, "file_size": 1}],
    }
    assert "files" not in face.ok("GET", "artifacts/list", run_id="r", path="nothing")
    missing = face.call("GET", "api/2.0/mlflow/artifacts/list", run_id="nobody")
    assert (missing.status, missing.code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert face.call("GET", "api/2.0/mlflow/artifacts/list").code == "INVALID_PARAMETER_VALUE"


def test_a_file_is_replaced_and_ranges_of_it_are_given(face: Any) -> None:
    root = face.run("r")
    face.put(f"{root}/f", b"old")
    face.put(f"{root}/f", b"0123456789")
    part = face.get(f"{root}/f", range="bytes=2-4")
    assert (part.status, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert part.headers["x-content-type-options"] == "nosniff"
    assert "attachment" in part.headers["content-disposition"]
    assert face.get(f"{root}/f", range="bytes=20-").status == 416


def test_deleting_takes_a_file_or_all_of_a_directory_and_nothing_else(face: Any) -> None:
    root = face.run("r")
    for name in ("keep", "d/x", "d/sub/y", "dd"):
        face.put(f"{root}/{name}", b"1")
    for _ in range(2):
        assert face.call("DELETE", f"{ARTIFACTS}/{root}/d").status == 200
    assert [f["path"] for f in face.listed(root)] == ["dd", "keep"]
    assert face.get(f"{root}/d/x").code == "RESOURCE_DOES_NOT_EXIST"


def test_a_file_can_not_be_where_a_directory_is(face: Any) -> None:
    root = face.run("r")
    face.put(f"{root}/d/x", b"1")
    assert face.put(f"{root}/d", b"1").code == "INVALID_PARAMETER_VALUE"
    assert face.put(f"{root}/d/x/y", b"1").code == "INVALID_PARAMETER_VALUE"
    assert face.put(root, b"1").code == "INVALID_PARAMETER_VALUE"


# What published vulnerabilities of MLflow were made with: 2023-1177, 2023-2780, 2023-6015, 2024-1560, 2024-3848, 2023-6909 …
HOSTILE = [
    "../../../../etc/passwd", "..%2f..%2fetc/passwd", "%2e%2e/%2e%2e/x", "%252e%252e%252fx", "a/../../x", "/etc/passwd",
    "//etc/passwd", "..\\..\\x", "C:\\x", "C:/x", "\\\\?\\x", "file:///etc/passwd", "a%00b", "a\0b", "./x", "a/./x", "x.",
    "a/ /x ", "a/..%5cx", "%c0%ae%c0%ae/x", "a#../../x", "a/..", "a\n",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_is_refused_on_every_route_that_takes_one(face: Any, path: str) -> None:
    from urllib.parse import quote

    root = face.run("r")
    face.put(f"{root}/canary", b"1")
    under = f"{ARTIFACTS}/{root}/{quote(path, safe='')}"
    answers = [
        face.call("PUT", under, content=b"evil"),
        face.call("GET", under),
        face.call("DELETE", under),
        face.call("GET", ARTIFACTS, path=f"{root}/{path}"),
        face.call("GET", "api/2.0/mlflow/artifacts/list", run_id="r", path=path),
        face.call("GET", "get-artifact", run_uuid="r", path=path),
        face.call("POST", "ajax-api/2.0/mlflow/upload-artifact", content=b"x", run_uuid="r", path=path),
        face.call(
            "POST", f"api/2.0/mlflow-artifacts/mpu/create/{root}/{quote(path, safe='')}", {"path": "f"}
        ),
        face.call("GET", f"api/2.0/mlflow-artifacts/presigned/{root}/{quote(path, safe='')}"),
    ]
    refusals = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND"}
    assert {a.code for a in answers} <= refusals
    assert {a.status for a in answers} <= {400, 404}
    assert [f["path"] for f in face.listed(root)] == ["canary"]


@pytest.mark.parametrize(
    "path", ["", "/", "0", "0/r", "e/r/artifacts/f", "0/models/m-1/x", "registered-models/x/0/f"]
)
def test_a_path_of_nothing_is_not_found(face: Any, path: str) -> None:
    face.run("r")
    assert face.put(path, b"1").status in (400, 404)
    assert face.call("GET", ARTIFACTS, path=path).status in (200, 400, 404)


def test_a_run_s_token_reaches_its_own_files_and_those_of_its_children_alone(
    face: Any, run_face: Any
) -> None:
    mine, theirs = face.run("mine"), face.run("theirs")
    face.own("POST", "runs", {"run_id": "child", "experiment": "e", "parent_id": "mine", "started": True})
    face.put(f"{theirs}/secret", b"s")
    run = run_face("mine")
    assert run.put(f"{mine}/f", b"1").status == 200
    assert run.put(f"{mine.split('/', maxsplit=1)[0]}/child/artifacts/f", b"1").status == 200
    answers = [
        run.put(f"{theirs}/f", b"1"),
        run.get(f"{theirs}/secret"),
        run.call("DELETE", f"{ARTIFACTS}/{theirs}/secret"),
        run.call("GET", ARTIFACTS, path=theirs),
        run.call("GET", "get-artifact", run_uuid="theirs", path="secret"),
        run.call("POST", f"api/2.0/mlflow-artifacts/mpu/create/{theirs}", {"path": "f"}),
    ]
    assert [a.code for a in answers] == ["PERMISSION_DENIED"] * len(answers)


def test_a_large_file_comes_in_parts_and_can_be_gone_on_with(face: Any) -> None:
    root = face.run("r")
    parts = [os.urandom(3_000_000), os.urandom(2_000_000), b"end"]
    made = face.call(
        "POST", f"api/2.0/mlflow-artifacts/mpu/create/{root}/model", {"path": "/tmp/w.bin", "num_parts": 3}
    ).json
    sent = []
    for credential, part in zip(made["credentials"], parts, strict=True):
        for content in (b"broken off", part):
            answer = face.call("PUT", credential["url"], content=content, headers=credential["headers"])
        sent.append({"part_number": credential["part_number"], "etag": answer.headers["etag"], "url": "u"})
    complete = f"api/2.0/mlflow-artifacts/mpu/complete/{root}/model"
    body = {"path": "/tmp/w.bin", "upload_id": made["upload_id"], "parts": sent}
    assert face.call("POST", complete, {**body, "parts": sent[:2]}).code == "INVALID_PARAMETER_VALUE"
    for _ in range(2):  # the answer to the first may have been lost
        assert face.call("POST", complete, body).json == {}
    assert face.get(f"{root}/model/w.bin").content == b"".join(parts)


def test_an_upload_that_was_given_up_is_gone(face: Any) -> None:
    root = face.run("r")
    create = f"api/2.0/mlflow-artifacts/mpu/create/{root}"
    made = face.call("POST", create, {"path": "f", "num_parts": 1}).json
    abort = {"path": "f", "upload_id": made["upload_id"]}
    assert face.call("POST", f"api/2.0/mlflow-artifacts/mpu/abort/{root}", abort).json == {}
    credential = made["credentials"][0]
    answer = face.call("PUT", credential["url"], content=b"1", headers=credential["headers"])
    assert (answer.status, answer.code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert face.call("POST", create, {"path": "f", "num_parts": 20_000}).code == "INVALID_PARAMETER_VALUE"


def test_what_needs_an_object_store_of_the_client_s_is_not_supported(face: Any) -> None:
    root = face.run("r")
    answer = face.call("GET", f"api/2.0/mlflow-artifacts/presigned/{root}/f")
    assert (answer.status, answer.code) == (501, "NOT_IMPLEMENTED")
    for way in ("upload", "download"):
        answer = face.call(
            "POST", f"api/2.0/mlflow/artifacts/presigned-{way}-url", {"run_id": "r", "path": "f"}
        )
        assert "proxied artifact storage" in answer.json["message"]


def test_the_routes_of_mlflow_s_web_pages_take_and_give_files_too(face: Any) -> None:
    face.run("r")
    upload = "ajax-api/2.0/mlflow/upload-artifact"
    assert face.call("POST", upload, content=b"page", run_uuid="r", path="notes/a.md").json == {}
    for prefix in ("", "ajax-api/2.0/mlflow/"):
        got = face.call("GET", f"{prefix}get-artifact", run_uuid="r", path="notes/a.md")
        assert (got.content, got.headers["x-content-type-options"]) == (b"page", "nosniff")
    assert face.call("GET", "get-artifact", run_uuid="r", path="big").code == "RESOURCE_DOES_NOT_EXIST"


def _logged_model(face: Any, run_id: str, name: str = "model") -> tuple[str, str]:
    """The id of a new logged model of that run, and its artifact URI without the scheme."""
    experiment_id = face.own("GET", f"runs/{run_id}")["experiment_id"]
    body = {"experiment_id": experiment_id, "name": name, "source_run_id": run_id}
    info = face.ok("POST", "logged-models", body)["model"]["info"]
    return info["model_id"], info["artifact_uri"].removeprefix("mlflow-artifacts:/")


def test_the_files_of_a_logged_model_are_files_of_its_run_below_its_name(face: Any) -> None:
    run_root = face.run("r")
    model_id, root = _logged_model(face, "r")
    face.put(f"{root}/MLmodel", b"flavors: {}")
    face.put(f"{root}/data/model.pkl", b"pickle")
    assert [f["path"] for f in face.listed(root)] == ["MLmodel", "data"]
    assert face.get(f"{root}/data/model.pkl").content == b"pickle"
    listed = face.ok("GET", f"logged-models/{model_id}/artifacts/directories", artifact_directory_path="data")
    assert listed["files"] == [{"path": "data/model.pkl", "is_dir": False, "file_size": 6}]
    got = face.call(
        "GET", f"ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files", artifact_file_path="MLmodel"
    )
    assert got.content == b"flavors: {}"
    own = face.own("GET", "runs/r/files")["items"]
    assert [f["path"] for f in own] == ["model/MLmodel", "model/data/model.pkl"]
    assert face.listed(run_root) == []  # MLflow's clients look for logged models themselves
    face.call("DELETE", f"{ARTIFACTS}/{root}/data")
    assert [f["path"] for f in face.listed(root)] == ["MLmodel"]


def test_of_two_logged_models_of_one_name_a_run_shows_the_later(face: Any) -> None:
    face.run("r")
    for content in (b"first", b"second"):
        face.put(f"{_logged_model(face, 'r')[1]}/MLmodel", content)
    body = {"name": "churn", "request_id": "q", "run_id": "r", "run_path": "model"}
    made = face.own("POST", "models", body)
    assert (made["file_count"], made["size_bytes"]) == (1, len(b"second"))


def test_a_version_made_of_a_logged_model_has_its_files_and_the_model_tells_of_it(face: Any) -> None:
    face.run("r")
    model_id, root = _logged_model(face, "r")
    face.put(f"{root}/MLmodel", b"flavors: {}")
    face.ok("POST", "registered-models/create", {"name": "churn"})
    body = {"name": "churn", "source": f"models:/{model_id}", "model_id": model_id}
    made = face.ok("POST", "model-versions/create", body)["model_version"]
    assert made["run_id"] == "r"
    files = face.own("GET", "models/churn/versions/1/files")["items"]
    assert [f["path"] for f in files] == ["model/MLmodel"]
    tags = face.ok("GET", f"logged-models/{model_id}")["model"]["info"]["tags"]
    assert tags == [{"key": "mlflow.modelVersions", "value": '[{"name": "churn", "version": "1"}]'}]
    wrong = face.call("POST", "api/2.0/mlflow/model-versions/create", {**body, "model_id": "m-" + "0" * 32})
    assert wrong.code == "INVALID_PARAMETER_VALUE"


def test_a_run_s_token_writes_its_own_logged_models_alone(face: Any, run_face: Any) -> None:
    face.run("mine"), face.run("theirs")
    _, mine = _logged_model(face, "mine")
    _, theirs = _logged_model(face, "theirs")
    run = run_face("mine")
    assert run.put(f"{mine}/MLmodel", b"1").status == 200
    assert run.put(f"{theirs}/MLmodel", b"1").code == "PERMISSION_DENIED"
    assert run.call("DELETE", f"{ARTIFACTS}/{theirs}/MLmodel").code == "PERMISSION_DENIED"
