"""Where a registered model's files are on this machine: in a web service, in a run, or beside a script.

The layout is v1's: `azureml-models/<name>/<version>/…` below the working directory, and the same below
AZUREML_MODEL_DIR in a web service.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any, List, Mapping, NamedTuple, Optional, Tuple, Union

from modelyard import errors, snapshot
from modelyard._client import Client, connect, discover, path
from modelyard.wire.artifacts import FileEntry, FileInfo, FileList
from modelyard.wire.models import ModelInfo

CACHE = "azureml-models"


class Door(NamedTuple):
    """What reaching a workspace takes, where there is no Workspace object."""

    client: Client
    workspace: str

    def path(self, *parts: Any) -> str:
        return path("workspaces", self.workspace, *parts)


def door_of(workspace: Any) -> Door:
    return Door(workspace._client, workspace.name)


def door_of_run(environ: Mapping[str, str] = os.environ) -> Optional[Door]:
    """The workspace of the run we are in; None outside of one."""
    if not environ.get("AZUREML_RUN_TOKEN"):
        return None
    return Door(connect(environ), discover(environ).workspace)


def find(model_name: str, version: Optional[int], door: Optional[Door]) -> str:
    """The model's file, or its folder if it has several. Raises ModelPathNotFoundException."""
    name, version = split_id(model_name, version)
    model_dir = os.environ.get("AZUREML_MODEL_DIR")
    if model_dir:
        return _in_service(model_dir, name, version)
    own = None if door is not None else door_of_run()
    door = door or own
    if door is None:
        return _in_working_directory(name, version)
    try:
        info = described(door, name, version)
        folder = os.path.join(CACHE, info.name, str(info.version))
        if not os.path.isdir(folder):
            _fill(door, info, folder)
        return content(folder)
    finally:
        if own is not None:
            own.client.close()


def split_id(text: str, version: Optional[int]) -> Tuple[str, Optional[int]]:
    """(name, version) of `name` or `name:version`. Raises UserErrorException."""
    if not text:
        raise errors.UserErrorException(
            f"A model is named by text such as 'churn' or 'churn:3', not {text!r}."
        )
    name, colon, number = text.partition(":")
    if colon:
        if not number.isdigit():
            raise errors.UserErrorException(f"{text!r} is no model id: it looks like 'churn:3'.")
        version = int(number)
    if version is not None:
        try:
            version = int(version)
        except (TypeError, ValueError):
            raise errors.UserErrorException(f"A model's version is a number, not {version!r}.") from None
    return name, version


def meant(text: str, version: Optional[int] = None) -> Tuple[str, Union[int, str, None]]:
    """What the yard is asked for: (name, version) of `name`, `name:version` or, without a version, `name@alias`."""
    name, at, alias = str(text or "").rpartition("@")
    if at and name and alias and ":" not in text and version is None:
        return name, "@" + alias
    return split_id(text, version)


def described(door: Door, name: str, version: Union[int, str, None] = None) -> ModelInfo:
    """`version` may be `@alias`. Raises ModelNotFoundException."""
    info: ModelInfo = door.client.request("GET", address(door, name, version), kind=ModelInfo)
    return info


def address(door: Door, name: str, version: Union[int, str, None], *more: str) -> str:
    return door.path("models", name, "versions", "latest" if version is None else version, *more)


def files(door: Door, name: str, version: int) -> List[FileInfo]:
    listed: FileList = door.client.request("GET", address(door, name, version, "files"), kind=FileList)
    return listed.items


def fetch(door: Door, info: ModelInfo, target: str) -> None:
    """Write the model's files below `target`."""
    entries = [FileEntry(f.path, f.hash or "", f.size) for f in files(door, info.name, info.version)]
    snapshot.materialise(door.client, lambda rest: door.path() + rest, entries, target)


def top_names(door: Door, info: ModelInfo) -> List[str]:
    """The first parts of the model's paths: one, unless it was registered from a list."""
    return sorted({f.path.partition("/")[0] for f in files(door, info.name, info.version)})


def content(folder: str) -> str:
    """The one file or folder in there; the folder itself when there are several."""
    names = os.listdir(folder)
    return os.path.join(folder, names[0]) if len(names) == 1 else folder


def _fill(door: Door, info: ModelInfo, folder: str) -> None:
    """Download beside and rename, so that a folder that is there is whole."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    part = tempfile.mkdtemp(prefix=".part-", dir=os.path.dirname(folder))
    try:
        fetch(door, info, part)
        os.chmod(part, 0o755)  # noqa: S103  # mkdtemp made it private; a model is no secret on its machine
        try:
            os.rename(part, folder)
        except OSError:
            if not os.path.isdir(folder):  # otherwise another process was quicker, with the same files
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _in_service(model_dir: str, name: str, version: Optional[int]) -> str:
    own = os.path.abspath(model_dir)
    if os.path.basename(os.path.dirname(own)) == name and (
        version is None or os.path.basename(own) == str(version)
    ):
        return content(own)
    found = _versions(own, name)
    if found and (version is None or version in found):
        return content(os.path.join(own, name, str(max(found) if version is None else version)))
    raise errors.ModelPathNotFoundException(
        f"{_said(name, version)} is not among this service's models in AZUREML_MODEL_DIR={model_dir}. Add it to "
        "the models of Model.deploy."
    )


def _in_working_directory(name: str, version: Optional[int]) -> str:
    found = _versions(CACHE, name)
    if found and (version is None or version in found):
        return content(os.path.join(CACHE, name, str(max(found) if version is None else version)))
    if version is None and os.path.exists(name):
        return name
    raise errors.ModelPathNotFoundException(
        f"{_said(name, version)} is not in {os.path.abspath(CACHE)}, and outside of a run and a web service nothing says "
        f"which workspace to ask. Use Model(workspace, {name!r}).download()."
    )


def _versions(root: str, name: str) -> List[int]:
    try:
        return [int(v) for v in os.listdir(os.path.join(root, name)) if v.isdigit()]
    except OSError:
        return []


def _said(name: str, version: Optional[int]) -> str:
    return f"Model {name!r}" if version is None else f"Model {name!r} version {version}"
