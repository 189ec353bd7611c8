"""MLflow's artifacts: the files of runs and logged models, brought, listed, given out and deleted through the yard."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

import msgspec
from starlette.responses import Response

from modelyard.server.artifacts.uploads import MAX_PARTS, Uploads
from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.mlflow import errors, paging, places
from modelyard.server.mlflow.artifact_files import ArtifactFiles
from modelyard.server.mlflow.protocol import UNDER, Message, RunMessage, route
from modelyard.server.mlflow.shapes import Json, without_empty
from modelyard.wire.artifacts import FileInfo

_ARTIFACTS = "2.0/mlflow-artifacts/artifacts"
_PARTS = "2.0/mlflow-artifacts/mpu"
_BYTES = "application/octet-stream"
_PAGE = 1000
_MAX_FORM_UPLOAD = 10 * 1024 * 1024  # MLflow's own limit of what its web pages upload
_PROXIED = "proxied artifact storage (artifact URI scheme: mlflow-artifacts). This endpoint requires a"


class ListBelow(Message):
    path: str = ""


class ListOfRun(RunMessage):
    path: str = ""
    page_token: str = ""


class ListOfModel(Message):
    artifact_directory_path: str = ""
    page_token: str = ""


class CreateUpload(Message):
    required = ("path",)
    path: str = ""
    num_parts: int = 1


class Part(msgspec.Struct):
    part_number: int = 0
    etag: str = ""
    url: str = ""


class CompleteUpload(Message):
    required = ("path", "upload_id")
    path: str = ""
    upload_id: str = ""
    parts: list[Part] = []


class AbortUpload(Message):
    required = ("path", "upload_id")
    path: str = ""
    upload_id: str = ""


class Presigned(Message):
    path: str = ""


def add(r: Routes, files: ArtifactFiles, uploads: Uploads) -> None:
    _add_proxied(r, files)
    _add_parts(r, files, uploads)
    _add_of_run(r, files)
    _add_of_logged(r, files)
    _add_presigned(r)


def _add_proxied(r: Routes, files: ArtifactFiles) -> None:
    @route(r, "GET", _ARTIFACTS, Permission.RUN_READ)
    def listed(call: Call, body: ListBelow) -> Json:
        """The files and directories in a directory, by their names."""
        if not body.path.strip("/"):
            return {}  # every experiment of the workspace would be in there
        directory, found = files.listed(call, places.place(body.path))
        return without_empty({"files": children(found, directory)})

    @route(r, "PUT", f"{_ARTIFACTS}/{{path:path}}", Permission.RUN_WRITE, raw_body=_BYTES)
    async def upload(call: Call) -> Response:
        """Bring a file of any size, in place of one that is there."""
        await files.put(call, places.place(call.path["path"]), call.request.stream())
        return Response()

    @route(r, "GET", f"{_ARTIFACTS}/{{path:path}}", Permission.RUN_READ, raw=_BYTES)
    def download(call: Call) -> Response:
        """Download a file or a range of it."""
        return files.response(call, places.place(call.path["path"]))

    @route(r, "DELETE", f"{_ARTIFACTS}/{{path:path}}", Permission.RUN_WRITE)
    def delete(call: Call) -> Json:
        """Delete a file, or a directory with all that is in it."""
        files.delete(call, places.place(call.path["path"]))
        return {}


def _add_parts(r: Routes, files: ArtifactFiles, uploads: Uploads) -> None:
    @route(r, "POST", f"{_PARTS}/create/{{path:path}}", Permission.RUN_WRITE)
    def create(call: Call, body: CreateUpload) -> Json:
        """Begin an upload in parts; each part goes to an address of its own."""
        if not 1 <= body.num_parts <= MAX_PARTS:
            raise errors.invalid(f"An upload has 1 to {MAX_PARTS} parts, not {body.num_parts}.")
        target = _target(call.path["path"], body.path)
        files.check_writable(call, places.place(target))
        upload_id = uploads.begin(call.workspace_id, target)
        url = call.request.url
        base = f"{url.scheme}://{url.netloc}{url.path.partition('/mpu/create/')[0]}/mpu/parts/{upload_id}"
        # The client sends each part with these headers and none of its own.
        headers = {"Authorization": call.request.headers.get("authorization", "")}
        return {
            "upload_id": upload_id,
            "credentials": [
                {"url": f"{base}/{number}", "part_number": number, "headers": headers}
                for number in range(1, body.num_parts + 1)
            ],
        }

    @route(r, "PUT", f"{_PARTS}/parts/{{upload}}/{{number:int}}", Permission.RUN_WRITE, raw_body=_BYTES)
    async def part(call: Call) -> Response:
        """Bring one part, in place of one of the same number."""
        number = int(call.path["number"])
        hash_ = await uploads.put(call.workspace_id, call.path["upload"], number, call.request.stream())
        return Response(b"{}", headers={"etag": f'"{hash_}"'}, media_type="application/json")

    @route(r, "POST", f"{_PARTS}/complete/{{path:path}}", Permission.RUN_WRITE)
    async def complete(call: Call, body: CompleteUpload) -> Json:
        """Make one file of the parts."""
        target = _target(call.path["path"], body.path)
        parts = [(part.part_number, part.etag.strip('"')) for part in body.parts]
        place = await files.checked(call, places.place(target))
        hash_, size = await uploads.join(call.workspace_id, body.upload_id, target, parts)
        await files.keep(call, place, hash_, size)
        return {}

    @route(r, "POST", f"{_PARTS}/abort/{{path:path}}", Permission.RUN_WRITE)
    def abort(call: Call, body: AbortUpload) -> Json:
        """Forget an upload with its parts."""
        files.check_writable(call, places.place(_target(call.path["path"], body.path)))
        uploads.abort(call.workspace_id, body.upload_id)
        return {}


def _add_of_run(r: Routes, files: ArtifactFiles) -> None:
    @route(r, "GET", "2.0/mlflow/artifacts/list", Permission.RUN_READ)
    def listed(call: Call, body: ListOfRun) -> Json:
        """The files and directories in a directory of a run, by their paths."""
        root, place = files.run_place(call, body.run_id, places.below(body.path))
        directory, found = files.listed(call, place)
        every = children(found, directory, whole=True)
        page, token = paging.page(every, body.page_token, _PAGE)
        answer = without_empty({"root_uri": root, "files": list(page)})
        return {**answer, "next_page_token": token} if token else answer

    def artifact(call: Call) -> Response:
        """Download a file of a run."""
        given = call.request.query_params
        run_id = given.get("run_id") or given.get("run_uuid") or ""
        _, place = files.run_place(call, run_id, places.check(given.get("path", "")))
        return files.response(call, place)

    async def form_upload(call: Call) -> Json:
        """Bring a small file of a run, as MLflow's web pages do."""
        given = call.request.query_params
        for name in ("run_uuid", "path"):
            if not given.get(name):
                raise errors.invalid(f"Request must specify {name}.")
        if int(call.request.headers.get("content-length") or 0) > _MAX_FORM_UPLOAD:
            raise errors.invalid("Artifact size is too large. Max size is 10MB.")
        await files.put_of_run(
            call, given["run_uuid"], places.check(given["path"]), call.request.stream(), _MAX_FORM_UPLOAD
        )
        return {}

    def of_version(call: Call) -> Response:
        """Download a file of a version of a registered model."""
        given = call.request.query_params
        version = given.get("version", "")
        if not version.isdigit():
            raise errors.invalid(f"Invalid value {version!r} for parameter 'version' supplied.")
        path = places.check(given.get("path", ""))
        return files.response(call, places.VersionPlace(given.get("name", ""), int(version), path))

    for prefix in (UNDER, f"{UNDER}/ajax-api/2.0/mlflow", f"{UNDER}/api/2.0/mlflow"):
        r.get(f"{prefix}/get-artifact", Permission.RUN_READ, raw=_BYTES)(artifact)
        r.get(f"{prefix}/model-versions/get-artifact", Permission.READ, raw=_BYTES)(of_version)
    route(r, "POST", "2.0/mlflow/upload-artifact", Permission.RUN_WRITE, raw_body=_BYTES)(form_upload)


def _add_of_logged(r: Routes, files: ArtifactFiles) -> None:
    one = "2.0/mlflow/logged-models/{model_id}/artifacts"

    @route(r, "GET", f"{one}/directories", Permission.READ)
    def listed(call: Call, body: ListOfModel) -> Json:
        """The files and directories in a directory of a logged model, by their paths."""
        place = files.logged_place(call, call.path["model_id"], places.below(body.artifact_directory_path))
        directory, found = files.listed(call, place)
        every = children(found, directory, whole=True)
        page, token = paging.page(every, body.page_token, _PAGE)
        answer = without_empty({"root_uri": files.root_of_logged(place), "files": list(page)})
        return {**answer, "next_page_token": token} if token else answer

    @route(r, "GET", f"{one}/files", Permission.READ, raw=_BYTES)
    def artifact(call: Call) -> Response:
        """Download a file of a logged model."""
        path = places.check(call.request.query_params.get("artifact_file_path", ""))
        return files.response(call, files.logged_place(call, call.path["model_id"], path))


def _add_presigned(r: Routes) -> None:
    """What only makes sense where clients speak with an object store themselves."""

    @route(r, "GET", "2.0/mlflow-artifacts/presigned/{path:path}", Permission.RUN_READ)
    def presigned(call: Call) -> None:
        places.place(call.path["path"])
        raise errors.Refusal(
            "NOT_IMPLEMENTED", "Multipart download is not supported for the current artifact repository"
        )

    @route(r, "POST", "2.0/mlflow/artifacts/presigned-upload-url", Permission.RUN_WRITE)
    def upload_url(call: Call, body: Presigned) -> None:
        raise errors.invalid(
            f"Presigned upload is not supported for {_PROXIED} direct cloud storage artifact URI."
        )

    @route(r, "POST", "2.0/mlflow/artifacts/presigned-download-url", Permission.RUN_READ)
    def download_url(call: Call, body: Presigned) -> None:
        raise errors.invalid(
            f"Presigned download is not supported for runs with {_PROXIED} run with a direct cloud storage artifact URI."
        )


def children(found: Iterable[FileInfo], directory: str, whole: bool = False) -> list[Json]:
    """What lies right in `directory`, sorted: names, or with `whole` the paths that begin with the directory's."""
    start = len(directory) + 1 if directory else 0
    seen: dict[str, Json] = {}
    for file in found:
        name, slash, _ = file.path[start:].partition("/")
        path = posixpath.join(directory, name) if whole else name
        if slash:
            seen[name] = {"path": path, "is_dir": True}
        else:
            seen[name] = {"path": path, "is_dir": False, "file_size": file.size}
    return [seen[name] for name in sorted(seen)]


def _target(directory: str, path: str) -> str:
    """Where an upload in parts goes. `path` is the file on the client's machine, of which only the name counts."""
    name = path.replace("\\", "/").rpartition("/")[2]
    return places.check(f"{directory.rstrip('/')}/{name}")
