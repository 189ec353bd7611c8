"""Datastores: where files of a workspace lie by path, beside those of its runs and models.

Every workspace begins with one, `workspaceblobstore`; its files are kept by the yard itself.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

from modelyard import errors, snapshot
from modelyard.wire.artifacts import FileInfo, FileList
from modelyard.wire.data import DatastoreFilesAdd, DatastoreFilesAdded, DatastoreInfo, DatastoreList
from modelyard.wire.trees import path_problem


class AbstractDatastore:
    """What all kinds of datastores have."""

    def __init__(self, workspace: Any, name: str, datastore_type: str) -> None:
        self._workspace = workspace
        self._name = name
        self._type = datastore_type

    @property
    def workspace(self) -> Any:
        return self._workspace

    @property
    def name(self) -> str:
        return self._name

    @property
    def datastore_type(self) -> str:
        """v1's name of the kind, such as `AzureBlob`."""
        return self._type

    def set_as_default(self) -> None:
        """Make it the default datastore; `workspaceblobstore` is that already."""
        self._workspace.set_default_datastore(self._name)

    def unregister(self) -> None:
        raise errors.UserErrorException(
            f"Datastore {self._name!r} comes with the workspace and stays with it. "
            "`modelyard datastore delete` takes files out of it."
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self._name!r}, workspace={self._workspace.name!r})"


class AbstractAzureStorageDatastore(AbstractDatastore):
    """A datastore whose files can be brought and fetched."""

    def upload(
        self,
        src_dir: str,
        target_path: Optional[str] = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> None:
        """Bring all files below a folder, to below `target_path`.

        Files that are there already are left alone unless `overwrite`.
        """
        _tell(self._upload_folder(os.fspath(src_dir), target_path, overwrite), show_progress)

    def upload_files(
        self,
        files: Sequence[str],
        relative_root: Optional[str] = None,
        target_path: Optional[str] = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> None:
        """Bring these files, to below `target_path`, each under its path from `relative_root` on.

        relative_root: a folder that holds them all; without it the deepest one that does.
        """
        paths = [os.fspath(one) for one in files]
        _tell(self._upload(paths, relative_root, target_path, overwrite), show_progress)

    def _upload_folder(self, folder: str, target_path: Optional[str], overwrite: bool) -> DatastoreFilesAdded:
        if not os.path.isdir(folder):
            raise errors.UserErrorException(f"src_dir {folder!r} is not a folder (looked in {os.getcwd()}).")
        found = [os.path.join(directory, name) for directory, _, names in os.walk(folder) for name in names]
        return self._upload(sorted(found), folder, target_path, overwrite)

    def _upload(
        self, paths: Sequence[str], relative_root: Optional[str], target_path: Optional[str], overwrite: bool
    ) -> DatastoreFilesAdded:
        pairs = _named(paths, relative_root, target_path or "")
        if not pairs:
            raise errors.UserErrorException("There are no files to upload.")
        client = self._workspace._client
        held = snapshot.upload(client, lambda rest: self._workspace._path(rest.lstrip("/")), pairs)
        added: DatastoreFilesAdded = client.request(
            "POST",
            self._path("files"),
            DatastoreFilesAdd(held.entries, overwrite=overwrite),
            kind=DatastoreFilesAdded,
            idempotent=True,
        )
        return added

    def download(
        self,
        target_path: str,
        prefix: Optional[str] = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> int:
        """Fetch all files, or the file or folder `prefix`, to below `target_path`; answers how many.

        Each keeps its whole path. Files that are there already are left alone unless `overwrite`.
        """
        path = (prefix or "").replace(os.sep, "/").strip("/")
        fetched = 0
        for file in self._files(path):
            problem = path_problem(file.path)
            if problem:
                raise errors.ServiceException(
                    f"The yard names a file {file.path!r}, which {problem}; it is not written here."
                )
            local = os.path.join(os.fspath(target_path), *file.path.split("/"))
            if os.path.exists(local) and not overwrite:
                if show_progress:
                    _say(f"{local} is there already. Skipping its download")
                continue
            self._workspace._client.download(self._path("files", file.path), local)
            fetched += 1
        if show_progress:
            _say(f"Downloaded {fetched} files")
        return fetched

    def path(self, path: Optional[str] = None, data_reference_name: Optional[str] = None) -> Any:
        raise _no_references()

    def as_download(self, path_on_compute: Optional[str] = None) -> Any:
        raise _no_references()

    def as_upload(self, path_on_compute: Optional[str] = None) -> Any:
        raise _no_references()

    def as_mount(self) -> Any:
        raise _no_references()

    def _files(self, path: str) -> List[FileInfo]:
        query = {"path": path or None}
        found: FileList = self._workspace._client.request(
            "GET", self._path("files"), query=query, kind=FileList
        )
        return found.items

    def _path(self, *parts: Any) -> str:
        address: str = self._workspace._path("datastores", self._name, *parts)
        return address


class AzureBlobDatastore(AbstractAzureStorageDatastore):
    """v1's class of `workspaceblobstore`; the yard keeps the files, and no account or key is needed."""


_CLASSES = {"AzureBlob": AzureBlobDatastore}


def _not_yet(name: str) -> Any:
    """A method of v1 that registers storage of one's own."""

    def register(workspace: Any, datastore_name: str, *args: Any, **kwargs: Any) -> Any:
        raise errors.NotYetAvailable(
            f"Datastore.{name} is not there yet, so {datastore_name!r} can't be registered. Bring its files into the "
            "workspace's own datastore: workspace.get_default_datastore().upload(src_dir, target_path)."
        )

    return staticmethod(register)


class Datastore:
    """The door to a workspace's datastores: `Datastore(workspace, name)` is one of them, by its kind."""

    def __new__(cls, workspace: Any, name: Optional[str] = None) -> Any:
        """Raises NotFound for a name that the workspace does not have; without a name the default one."""
        return cls.get_default(workspace) if name is None else cls.get(workspace, name)

    @staticmethod
    def get(workspace: Any, datastore_name: str) -> Any:
        """Raises NotFound."""
        return _made(
            workspace,
            workspace._client.request(
                "GET", workspace._path("datastores", datastore_name), kind=DatastoreInfo
            ),
        )

    @staticmethod
    def get_default(workspace: Any) -> Any:
        return next(_made(workspace, info) for info in _listed(workspace) if info.is_default)

    register_azure_blob_container = _not_yet("register_azure_blob_container")
    register_azure_file_share = _not_yet("register_azure_file_share")
    register_azure_data_lake = _not_yet("register_azure_data_lake")
    register_azure_data_lake_gen2 = _not_yet("register_azure_data_lake_gen2")
    register_azure_sql_database = _not_yet("register_azure_sql_database")
    register_azure_postgre_sql = _not_yet("register_azure_postgre_sql")
    register_azure_my_sql = _not_yet("register_azure_my_sql")
    register_dbfs = _not_yet("register_dbfs")
    register_hdfs = _not_yet("register_hdfs")


def datastores(workspace: Any) -> Dict[str, Any]:
    """Those of a workspace, by name."""
    return {info.name: _made(workspace, info) for info in _listed(workspace)}


def _listed(workspace: Any) -> List[DatastoreInfo]:
    found: DatastoreList = workspace._client.request("GET", workspace._path("datastores"), kind=DatastoreList)
    return found.items


def _made(workspace: Any, info: DatastoreInfo) -> Any:
    kind = _CLASSES.get(info.type)
    if kind is None:
        raise errors.NotYetAvailable(
            f"Datastore {info.name!r} is of kind {info.type}, which this version does not know."
        )
    return kind(workspace, info.name, info.type)


def _named(files: Sequence[str], root: Optional[str], target: str) -> List[Tuple[str, str]]:
    """(path in the datastore, local file) pairs. Raises UserErrorException."""
    for file in files:
        if not os.path.isfile(file):
            raise errors.UserErrorException(f"There is no file {file!r} to upload (looked in {os.getcwd()}).")
    whole = [os.path.abspath(file) for file in files]
    if root is None and whole:
        root = os.path.commonpath([os.path.dirname(file) for file in whole])
    base = os.path.abspath(root or ".")
    target = target.replace(os.sep, "/").strip("/")
    pairs = []
    for file in whole:
        inside = os.path.relpath(file, base).replace(os.sep, "/")
        if inside.startswith("../"):
            raise errors.UserErrorException(f"File {file!r} is not below relative_root {base!r}.")
        path = f"{target}/{inside}" if target else inside
        problem = path_problem(path)
        if problem:
            raise errors.UserErrorException(f"{path!r} can't name a file of a datastore: it {problem}.")
        pairs.append((path, file))
    return pairs


def _tell(done: DatastoreFilesAdded, show_progress: bool) -> None:
    if show_progress:
        for path in done.skipped:
            _say(f"Target already exists. Skipping upload for {path}")
        _say(f"Uploaded {done.added} files")


def _no_references() -> errors.NotYetAvailable:
    return errors.NotYetAvailable(
        "Data references (path, as_mount, as_download, as_upload) are not there yet. Inside the run, "
        "`run.experiment.workspace.get_default_datastore().download(target, prefix)` brings the files."
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
