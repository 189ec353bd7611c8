"""The run a script has when it is started by hand: it says what it would have logged, and goes on."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional

from modelyard import errors
from modelyard.runs import records


def _kept_by_a_yard(name: str) -> Any:
    def refuse(self: _OfflineRun, *_args: Any, **_kwargs: Any) -> Any:
        raise errors.RunEnvironmentException(
            f"run.{name}: this script was started by hand, so no yard keeps its run. Submit it with "
            "experiment.submit(...) or `modelyard run submit`."
        )

    return refuse


class _OfflineRun:
    """v1's offline run. It has no experiment and no workspace: scripts test for it by `isinstance`, by an id that
    begins with OfflineRun, or by the AttributeError of `.experiment`."""

    def __init__(self, parent: Optional[_OfflineRun] = None, run_id: Optional[str] = None) -> None:
        self._id = run_id or "OfflineRun_" + _guid()
        self.parent = parent
        self._tags: Dict[str, Optional[str]] = {}
        self._properties: Dict[str, str] = {}
        self._params: Dict[str, str] = {}
        self.display_name = self._id
        self.description = ""

    @property
    def id(self) -> str:
        return self._id

    @property
    def name(self) -> str:
        return self._id

    @property
    def number(self) -> int:
        return 0

    @property
    def type(self) -> str:
        return "OfflineRun"

    @property
    def status(self) -> str:
        return "Running"

    @property
    def tags(self) -> Dict[str, Optional[str]]:
        return self.get_tags()

    @property
    def properties(self) -> Dict[str, str]:
        return self.get_properties()

    @property
    def input_datasets(self) -> Dict[str, Any]:
        return {}

    @property
    def output_datasets(self) -> Dict[str, Any]:
        return {}

    def log(self, name: str, value: Any, description: str = "", step: Optional[int] = None) -> None:
        records.scalar(name, value, description, step)
        _say("scalar metric", name, value)

    def log_param(self, name: str, value: Any) -> Any:
        self.log_params({name: value})
        return value

    def log_params(self, params: Dict[str, Any]) -> None:
        self._params.update({name: str(value) for name, value in params.items()})

    @property
    def params(self) -> Dict[str, str]:
        return dict(self._params)

    def log_list(self, name: str, value: List[Any], description: str = "") -> None:
        records.listing(name, value, description)
        _say("list metric", name, value)

    def log_row(self, name: str, description: Optional[str] = None, **kwargs: Any) -> None:
        records.row(name, kwargs, description or "")
        _say("row metric", name, kwargs)

    def log_table(self, name: str, value: Dict[str, Any], description: str = "") -> None:
        records.table(name, value, description)
        _say("table metric", name, value)

    def log_image(
        self, name: str, path: Optional[str] = None, plot: Any = None, description: str = ""
    ) -> None:
        if (path is None) == (plot is None):
            raise errors.UserErrorException(f"log_image({name!r}) takes either path= or plot=.")
        _say("image metric", name, path if path is not None else plot)

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        _say("confusion matrix", name, records.check_document("confusion_matrix", name, value))

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:
        _say("accuracy table", name, records.check_document("accuracy_table", name, value))

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:
        _say("residuals", name, records.check_document("residuals", name, value))

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:
        _say("predictions", name, records.check_document("predictions", name, value))

    def child_run(
        self, name: Optional[str] = None, run_id: Optional[str] = None, outputs: Optional[str] = None
    ) -> _OfflineRun:
        return _OfflineRun(self, run_id)

    def create_children(
        self,
        count: Optional[int] = None,
        tag_key: Optional[str] = None,
        tag_values: Optional[List[str]] = None,
    ) -> List[_OfflineRun]:
        return [_OfflineRun(self) for _ in range(len(tag_values) if tag_values else count or 0)]

    def get_children(self, **_filters: Any) -> List[_OfflineRun]:
        return []

    def get_context(self, *_args: Any, **_kwargs: Any) -> _OfflineRun:
        return self

    get_submitted_run = get_context

    def get_metrics(self, *_args: Any, **_kwargs: Any) -> Dict[str, Any]:
        return {}

    def get_status(self) -> str:
        return "Running"

    def get_details(self) -> Dict[str, Any]:
        return {"runId": self._id, "target": "local", "status": "Running", "properties": self._properties}

    def get_details_with_logs(self) -> Dict[str, Any]:
        return dict(self.get_details(), logFiles={})

    def get_detailed_status(self) -> Dict[str, Any]:
        return {"status": "Running", "details": ""}

    def get_file_names(self) -> List[str]:
        return []

    def get_all_logs(self, destination: Optional[str] = None) -> List[str]:
        return []

    def get_portal_url(self) -> str:
        return ""

    def tag(self, key: str, value: Optional[str] = None) -> None:
        self._tags[key] = value

    def set_tags(self, tags: Dict[str, str]) -> None:
        self._tags.update(tags)

    def remove_tags(self, tags: Any) -> Dict[str, Optional[str]]:
        for key in [tags] if isinstance(tags, str) else list(tags):
            self._tags.pop(key, None)
        return self.get_tags()

    def get_tags(self) -> Dict[str, Optional[str]]:
        return dict(self._tags)

    def add_properties(self, properties: Dict[str, str]) -> None:
        self._properties.update(properties)

    def get_properties(self) -> Dict[str, str]:
        return dict(self._properties)

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Optional[str] = None) -> None:
        _say("upload of file", name, path_or_stream)

    def upload_files(self, names: List[str], paths: List[str], *_args: Any, **_kwargs: Any) -> None:
        _say("upload of files", str(names), paths)

    def upload_folder(self, name: str, path: str, datastore_name: Optional[str] = None) -> None:
        _say("upload of folder", name, path)

    def register_model(self, model_name: str, model_path: Optional[str] = None, **_kwargs: Any) -> None:
        _say("model", model_name, model_path)

    def take_snapshot(self, file_or_folder_path: str) -> None:
        _say("snapshot", file_or_folder_path, "")

    def get_secret(self, name: str) -> Any:
        raise errors.NotYetAvailable(
            f"Secrets are not there yet, so {name!r} can't be read. Read an environment variable: os.environ[...]."
        )

    def get_secrets(self, secrets: List[str]) -> Any:
        return self.get_secret(", ".join(secrets))

    compare = _kept_by_a_yard("compare")
    download_file = _kept_by_a_yard("download_file")
    download_files = _kept_by_a_yard("download_files")
    get_environment = _kept_by_a_yard("get_environment")
    get_snapshot_id = _kept_by_a_yard("get_snapshot_id")
    metric_series = _kept_by_a_yard("metric_series")
    restore_snapshot = _kept_by_a_yard("restore_snapshot")
    submit_child = _kept_by_a_yard("submit_child")
    tail_metrics = _kept_by_a_yard("tail_metrics")

    def start(self) -> None:
        pass

    def clean(self) -> None:
        pass

    def complete(self, _set_status: bool = True) -> None:
        pass

    def fail(
        self, error_details: Any = None, error_code: Optional[str] = None, _set_status: bool = True
    ) -> None:
        if error_details is not None:
            _say("failure", self._id, error_details)

    def cancel(self) -> None:
        pass

    def archive(self) -> None:
        pass

    def reactivate(self) -> None:
        pass

    def delete(self) -> None:
        pass

    def flush(self, timeout_seconds: float = 300) -> None:
        pass

    def wait_for_completion(
        self, show_output: bool = False, wait_post_processing: bool = False, raise_on_error: bool = True
    ) -> Dict[str, Any]:
        return self.get_details()

    def __enter__(self) -> _OfflineRun:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def __repr__(self) -> str:
        return f"OfflineRun(Id: {self._id})"


def _say(what: str, name: str, value: Any) -> None:
    print(f"Attempted to log {what} {name}:\n{value}")  # noqa: T201  # v1's words, which its users know


def _guid() -> str:
    text = os.urandom(16).hex()  # as uuid4 looks; the uuid module costs import time
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
