"""What a run keeps besides metrics: files, snapshots, models. The methods of v1's Run for them."""

# v1's signatures carry arguments that name Azure things

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Sequence

from modelyard import errors
from modelyard.runs import creating, details, files
from modelyard.runs.scope import Scope
from modelyard.wire.runs import RunInfo, RunUpdate


class RunFiles:
    """Part of Run: upload, download, snapshot, register."""

    _scope: Scope
    _id: str

    def _info(self, refresh: bool = False) -> RunInfo:
        raise NotImplementedError

    def _update(self, update: RunUpdate) -> None:
        raise NotImplementedError

    def get_file_names(self) -> List[str]:
        return [info.path for info in files.listed(self._scope, self._id)]

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Optional[str] = None) -> None:
        """Attach one file, by path or from a readable stream. Raises Conflict when the run has one of that name."""
        if hasattr(path_or_stream, "read"):
            files.add_stream(self._scope, self._id, name, path_or_stream)
        else:
            files.add(self._scope, self._id, [(name, os.fspath(path_or_stream))])

    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[str],
        return_artifacts: bool = False,
        timeout_seconds: Optional[float] = None,
        datastore_name: Optional[str] = None,
    ) -> Optional[List[str]]:
        """Attach files under the given names, all or none."""
        if len(names) != len(paths):
            raise errors.UserErrorException(f"upload_files got {len(names)} names for {len(paths)} paths.")
        done = files.add(self._scope, self._id, [(n, os.fspath(p)) for n, p in zip(names, paths)])
        return done if return_artifacts else None

    def upload_folder(self, name: str, path: str, datastore_name: Optional[str] = None) -> None:
        """Attach all files below a folder, under `name`."""
        files.add(self._scope, self._id, files.folder_files(name, os.fspath(path)))

    def download_file(
        self, name: str, output_file_path: Optional[str] = None, _validate_checksum: bool = False
    ) -> None:
        """Download one file, here or to `output_file_path` (a directory keeps the file's own name)."""
        files.download(self._scope, self._id, name, output_file_path)

    def download_files(
        self,
        prefix: Optional[str] = None,
        output_directory: Optional[str] = None,
        output_paths: Optional[Sequence[str]] = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: Optional[float] = None,
    ) -> None:
        """Download all files whose name begins with `prefix` (all of them without one)."""
        files.download_many(self._scope, self._id, prefix, output_directory, output_paths, append_prefix)

    def get_all_logs(self, destination: Optional[str] = None) -> List[str]:
        """Download the logs into `destination` (default: here); answers where they are."""
        folder = destination or "."
        names = [name for name in self.get_file_names() if details.is_log(name)]
        return [files.download(self._scope, self._id, n, os.path.join(folder, *n.split("/"))) for n in names]

    def take_snapshot(self, file_or_folder_path: str) -> str:
        """Keep a folder or file as this run's snapshot; answers the snapshot's id."""
        snapshot_id = creating.snapshot_of(self._scope, os.fspath(file_or_folder_path))
        self._update(RunUpdate(snapshot_id=snapshot_id))
        return snapshot_id

    def get_snapshot_id(self) -> str:
        snapshot_id = self._info(refresh=True).snapshot_id
        if not snapshot_id:
            raise errors.SnapshotException(
                f"Run {self._id} has no snapshot. run.take_snapshot(folder) makes one."
            )
        return snapshot_id

    def restore_snapshot(self, snapshot_id: Optional[str] = None, path: Optional[str] = None) -> str:
        """Download the snapshot as a zip file into the folder `path` (default: here); answers where it is."""
        wanted = snapshot_id or self.get_snapshot_id()
        target = os.fspath(path) if path is not None else "."
        if not target.endswith(".zip"):
            target = os.path.join(target, wanted + ".zip")
        self._scope.client.download(self._scope.path("snapshots", wanted, "zip"), target)
        return os.path.abspath(target)

    def register_model(
        self,
        model_name: str,
        model_path: Optional[str] = None,
        tags: Optional[Dict[str, str]] = None,
        properties: Optional[Dict[str, str]] = None,
        model_framework: Optional[str] = None,
        model_framework_version: Optional[str] = None,
        description: Optional[str] = None,
        datasets: Optional[Sequence[Any]] = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Register a file or folder of this run (e.g. `outputs/model.pkl`) as a new version of a model."""
        from modelyard.models import Model  # scripts that only log don't need it

        return Model._register_from_run(
            self,
            model_name,
            model_path,
            tags=tags,
            properties=properties,
            model_framework=model_framework,
            model_framework_version=model_framework_version,
            description=description,
            datasets=datasets,
            sample_input_dataset=sample_input_dataset,
            sample_output_dataset=sample_output_dataset,
            resource_configuration=resource_configuration,
            **kwargs,
        )

    def get_secret(self, name: str) -> str:
        raise errors.NotYetAvailable(
            f"Secrets are not there yet, so {name!r} can't be read. Pass it as an environment variable: "
            "environment.environment_variables[...]."
        )

    def get_secrets(self, secrets: Sequence[str]) -> Dict[str, str]:
        raise errors.NotYetAvailable(
            "Secrets are not there yet. Pass them as environment variables: environment.environment_variables[...]."
        )
