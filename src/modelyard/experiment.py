"""Experiment: a named group of runs, and the place where runs begin."""

# v1's signatures carry arguments that name Azure things

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

from modelyard import errors
from modelyard.runs import creating, details
from modelyard.runs.run import Run, rehydrate
from modelyard.runs.scope import Scope
from modelyard.wire.experiments import ExperimentCreate, ExperimentInfo, ExperimentList, ExperimentUpdate

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,199}\Z")


class ViewType:
    """Which experiments `Experiment.list` shows."""

    ActiveOnly = "ActiveOnly"
    All = "All"
    ArchivedOnly = "ArchivedOnly"


_VIEWS = {ViewType.ActiveOnly: "active", ViewType.All: "all", ViewType.ArchivedOnly: "archived"}


class Experiment:
    """An experiment of a workspace; it is created when the yard has none of this name."""

    def __init__(
        self,
        workspace: Any,
        name: str,
        _skip_name_validation: bool = False,
        _id: Optional[str] = None,
        _archived_time: Optional[float] = None,
        _create_in_cloud: bool = True,
        _experiment_dto: Optional[ExperimentInfo] = None,
        **kwargs: Any,
    ) -> None:
        self.workspace = workspace
        self._name = name
        self._known = _experiment_dto
        if _create_in_cloud and _experiment_dto is None:
            self._known = self._found_or_created(_skip_name_validation)

    def _found_or_created(self, any_name: bool) -> ExperimentInfo:
        if not any_name and not _NAME.match(self._name):
            # v1 makes none of such a name, but MLflow's clients may have.
            try:
                return self._info()
            except errors.NotFound:
                pass
            raise errors.UserErrorException(
                f"Experiment name {self._name!r} can't be used: it needs 1 to 200 letters, digits, '-' or '_' and "
                "begins with a letter or digit."
            )
        made: ExperimentInfo = self.workspace._client.request(
            "POST",
            self.workspace._path("experiments"),
            ExperimentCreate(self._name),
            kind=ExperimentInfo,
            idempotent=True,
        )
        return made

    @classmethod
    def _named(cls, workspace: Any, name: str) -> Experiment:
        """One that is known to exist, and that is not asked about until something of it is needed."""
        return cls(workspace, name, _create_in_cloud=False)

    @property
    def _scope(self) -> Scope:
        return Scope(self.workspace._client, self.workspace.name)

    def _info(self, refresh: bool = False) -> ExperimentInfo:
        if refresh or self._known is None:
            self._known = self.workspace._client.request(
                "GET", self.workspace._path("experiments", self._name), kind=ExperimentInfo
            )
        return self._known

    def submit(self, config: Any, tags: Optional[Dict[str, Any]] = None, **kwargs: Any) -> Any:
        """Submit a run and come back at once; `run.wait_for_completion(show_output=True)` follows it.

        config: a ScriptRunConfig, or a RunConfiguration with `source_directory=` (and `script=`, `arguments=`).
        `run_id=` chooses the id, `show_output=True` says what was uploaded.
        """
        from modelyard.runs.submit import (
            submit,  # walks and uploads directories, which reading runs never does
        )

        info = submit(self._scope, self._name, config, tags=tags, **kwargs)
        return rehydrate(self._scope, info, self)

    def start_logging(self, *args: Any, **kwargs: Any) -> Run:
        """Start an interactive run: this process is the run, until `complete()`, `fail()` or the end of the program.

        outputs: folder whose new files are kept at the end (default ./outputs, False for none).
        snapshot_directory: folder to take a snapshot of (default the working directory, None for none).
        """
        names = ["outputs", "snapshot_directory"]
        options: Dict[str, Any] = dict(zip(names, args))
        options.update(kwargs)
        outputs = options.pop("outputs", None)
        directory = options.pop("snapshot_directory", ".")
        display_name, run_id = options.pop("display_name", None), options.pop("run_id", None)
        tags = options.pop("tags", None)
        if options:
            raise errors.UserErrorException(f"start_logging does not take {', '.join(sorted(options))}.")
        snapshot_id = (
            creating.working_directory_snapshot(self._scope, directory) if directory is not None else None
        )
        properties: Dict[str, str] = {}
        if snapshot_id is not None:
            from modelyard import gitinfo  # starts git

            properties = gitinfo.properties(directory)
        info = creating.create(
            self._scope,
            self._name,
            run_id,
            display_name=display_name or "",
            tags=tags,
            properties=properties,
            snapshot_id=snapshot_id,
        )
        run = Run(self, info.id, outputs, _scope=self._scope, _info=info)
        run._be()
        return run

    def get_runs(
        self,
        type: Optional[str] = None,
        tags: details.Filter = None,
        properties: details.Filter = None,
        include_children: bool = False,
        status: Union[str, List[str], None] = None,
    ) -> Iterator[Any]:
        """Runs, newest first. `tags` and `properties`: a name, or {name: value}; all must fit."""
        return Run.list(self, type, tags, properties, status, include_children)

    @staticmethod
    def list(
        workspace: Any,
        experiment_name: Optional[str] = None,
        view_type: str = ViewType.ActiveOnly,
        tags: details.Filter = None,
    ) -> List[Experiment]:
        """The experiments of a workspace."""
        found: ExperimentList = workspace._client.request(
            "GET",
            workspace._path("experiments"),
            query={"view": _VIEWS[view_type], "tag": details.pairs(tags)},
            kind=ExperimentList,
        )
        return [
            Experiment(workspace, info.name, _experiment_dto=info)
            for info in found.items
            if experiment_name in (None, info.name)
        ]

    @staticmethod
    def delete(workspace: Any, experiment_id: str) -> None:
        """Delete an experiment without runs, by id (or name)."""
        workspace._client.request("DELETE", workspace._path("experiments", experiment_id))

    @staticmethod
    def from_directory(path: str, auth: Any = None) -> Experiment:
        raise errors.NotYetAvailable("Name the experiment: Experiment(Workspace.from_config(path), name).")

    def archive(self) -> None:
        """Leave it out of `Experiment.list`; its runs stay."""
        self._update(ExperimentUpdate(archived=True))

    def reactivate(self, new_name: Optional[str] = None) -> None:
        """Bring an archived experiment back, under a new name if one is given."""
        self._update(ExperimentUpdate(archived=False, name=new_name))

    def tag(self, key: str, value: Optional[str] = None) -> None:
        self.set_tags({key: value})

    def set_tags(self, tags: Dict[str, Any]) -> None:
        self._update(
            ExperimentUpdate(set_tags={str(k): "" if v is None else str(v) for k, v in tags.items()})
        )

    def remove_tags(self, tags: Union[str, Sequence[str]]) -> None:
        self._update(
            ExperimentUpdate(remove_tags=[tags] if isinstance(tags, str) else [str(t) for t in tags])
        )

    def refresh(self) -> None:
        """Read the experiment anew."""
        self._info(refresh=True)

    def _update(self, update: ExperimentUpdate) -> None:
        info: ExperimentInfo = self.workspace._client.request(
            "PATCH", self.workspace._path("experiments", self._name), update, kind=ExperimentInfo
        )
        self._known, self._name = info, info.name

    def get_portal_url(self) -> str:
        """The address of this experiment in the yard."""
        return str(self.workspace._client.url + self.workspace._path("experiments", self._name))

    @classmethod
    def get_docs_url(cls) -> str:
        return "https://github.com/modelyard/modelyard/tree/main/docs/concepts/runs.md"

    @property
    def workspace_object(self) -> Any:
        return self.workspace

    @property
    def name(self) -> str:
        return self._name

    @property
    def id(self) -> str:
        return self._info().id

    @property
    def archived_time(self) -> Any:
        """When it was archived (a datetime), None for an active one."""
        at = self._info().archived_at
        if at is None:
            return None
        from datetime import datetime, timezone  # few ask

        return datetime.fromtimestamp(at, timezone.utc)

    @property
    def tags(self) -> Dict[str, str]:
        return dict(self._info().tags)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Experiment) and (self._name, self.workspace) == (
            other._name,
            other.workspace,
        )

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f"Experiment(Name: {self._name},\nWorkspace: {self.workspace.name})"

    def _repr_html_(self) -> str:
        from html import escape  # notebooks only

        link = f'<a href="{escape(self.get_portal_url())}" target="_blank" rel="noopener">Link to the experiment</a>'
        return (
            "<table><thead><tr><th>Name</th><th>Workspace</th><th>Report Page</th></tr></thead><tbody><tr>"
            f"<td>{escape(self._name)}</td><td>{escape(self.workspace.name)}</td><td>{link}</td></tr></tbody></table>"
        )
