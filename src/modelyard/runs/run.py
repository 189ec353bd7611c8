"""Run: one execution of a script, and everything that is kept about it."""

# v1's signatures carry arguments that name Azure things

from __future__ import annotations

import os
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Union

from modelyard import errors
from modelyard.runs import context, creating, details, files, metrics, streaming
from modelyard.runs.journal import Journal
from modelyard.runs.parameters import ParameterLog
from modelyard.runs.run_files import RunFiles
from modelyard.runs.scope import Scope
from modelyard.runs.sending import sender
from modelyard.runs.series import MetricReads
from modelyard.wire.runs import RunError, RunInfo, RunStatus, RunStatusReport, RunUpdate

_FLUSH_POLL_S = 0.02
_CHILD = "azureml.childrun"
_RunFactory = Callable[..., Any]
_types: Dict[str, _RunFactory] = {}
_context: Optional[Any] = None


class Run(metrics.MetricLog, MetricReads, ParameterLog, RunFiles):
    """A run of an experiment. Inside a submitted script `Run.get_context()` is the script's own.

    As a context manager it completes at the end of the block, and fails when the block raises.
    """

    def __init__(
        self,
        experiment: Any,
        run_id: str,
        outputs: Union[bool, str, None] = None,
        _scope: Optional[Scope] = None,
        _info: Optional[RunInfo] = None,
        **kwargs: Any,
    ) -> None:
        if _scope is None:
            _scope = Scope(experiment.workspace._client, experiment.workspace.name)
        self._scope = _scope
        self._id = run_id
        self._known = _info
        self._own_experiment = experiment
        self._outputs = outputs
        self._journal: Optional[Journal] = None
        self._kept_folder: Optional[str] = None  # whose new files an interactive run keeps
        self._began = 0.0  # Unix time at which this process began to be the run; 0: it is not
        if _info is None and kwargs.get("_check", True):
            self._info()

    @classmethod
    def get_context(
        cls, allow_offline: bool = True, used_for_context_manager: bool = False, **kwargs: Any
    ) -> Any:
        """The run this script is, the same object each time. Started by hand: an offline run that prints, or with
        MODELYARD_OFFLINE one that is kept on disk for `modelyard sync`.

        Raises RunEnvironmentException outside a run with `allow_offline=False`.
        """
        global _context  # noqa: PLW0603  # one a process is the point
        found = context.current()
        if found is None:
            if not allow_offline:
                raise errors.RunEnvironmentException(
                    "This script was not submitted as a run (AZUREML_RUN_ID is not set). Submit it with "
                    "experiment.submit(...) or `modelyard run submit`, or allow an offline run."
                )
            from modelyard.runs import by_hand  # a submitted script never needs it

            _context = by_hand.run(_context)
        elif _context is None or _context.id != found.run_id:
            _context = ScriptRun(None, found.run_id, _scope=found.scope, _check=False)
        return _context

    @classmethod
    def get_submitted_run(cls, **kwargs: Any) -> Any:
        """v1's older name of `get_context`."""
        return cls.get_context(**kwargs)

    @staticmethod
    def get(workspace: Any, run_id: str) -> Any:
        """The run with this id, whatever its experiment. Raises NotFound."""
        scope = Scope(workspace._client, workspace.name)
        return rehydrate(scope, details.fetch(scope, run_id))

    @staticmethod
    def list(
        experiment: Any,
        type: Optional[str] = None,
        tags: details.Filter = None,
        properties: details.Filter = None,
        status: Union[str, List[str], None] = None,
        include_children: bool = False,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Any]:
        """Runs of an experiment, newest first. `tags` and `properties`: a name, or {name: value}."""
        scope = Scope(experiment.workspace._client, experiment.workspace.name)
        found = details.listing(scope, experiment.name, type, tags, properties, status, include_children)
        return (rehydrate(scope, info, experiment) for info in found)

    @staticmethod
    def list_by_compute(
        compute: Any,
        type: Optional[str] = None,
        tags: details.Filter = None,
        properties: details.Filter = None,
        status: Union[str, List[str], None] = None,
    ) -> Iterator[Any]:
        """Runs on a compute target, newest first."""
        scope = Scope(compute.workspace._client, compute.workspace.name)
        found = details.listing(scope, None, type, tags, properties, status, include_children=True)
        return (rehydrate(scope, i) for i in found if i.spec is not None and i.spec.target == compute.name)

    @staticmethod
    def add_type_provider(runtype: str, run_factory: _RunFactory) -> None:
        """Runs of this type are made by `run_factory(experiment, run_dto)` from now on."""
        _types[runtype] = run_factory

    def _info(self, refresh: bool = False) -> RunInfo:
        if refresh or self._known is None:
            self._known = details.fetch(self._scope, self._id)
        return self._known

    @property
    def id(self) -> str:
        return self._id

    @property
    def experiment(self) -> Any:
        if self._own_experiment is None:
            import modelyard  # the public names, since this module stands below Workspace and Experiment

            workspace = modelyard.Workspace._named(self._scope.workspace, self._scope.client)
            name = os.environ.get("AZUREML_ARM_PROJECT_NAME") if self._is_context else ""
            self._own_experiment = modelyard.Experiment._named(workspace, name or self._info().experiment)
        return self._own_experiment

    @property
    def name(self) -> str:
        return self._info().display_name or self._id

    @property
    def display_name(self) -> str:
        return self._info().display_name or self._id

    @display_name.setter
    def display_name(self, value: str) -> None:
        self._update(RunUpdate(display_name=value))

    @property
    def description(self) -> str:
        return self._info().description

    @description.setter
    def description(self, value: str) -> None:
        self._update(RunUpdate(description=value))

    @property
    def number(self) -> int:
        return self._info().number

    @property
    def type(self) -> Optional[str]:
        return self._info().type or None

    @property
    def parent(self) -> Optional[Any]:
        parent_id = self._info().parent_id
        return None if parent_id is None else rehydrate(self._scope, details.fetch(self._scope, parent_id))

    @property
    def status(self) -> str:
        return self.get_status()

    @property
    def tags(self) -> Dict[str, str]:
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

    def get_portal_url(self) -> str:
        """The address of this run in the yard."""
        return self._scope.client.url + self._scope.run_path(self._id)

    def get_status(self) -> str:
        """v1's status names: NotStarted, Queued, Preparing, …, Running, Completed, Failed, Canceled."""
        final = self._known is not None and self._known.status in details.FINAL
        return self._info(refresh=not final).status.value

    def get_detailed_status(self) -> Dict[str, Any]:
        info = self._info(refresh=True)
        return {"status": info.status.value, "details": info.status_reason}

    def get_details(self) -> Dict[str, Any]:
        """Times, target, arguments, environment, logs, error: v1's dictionary."""
        return details.as_dictionary(self._info(refresh=True), self._scope)

    def get_details_with_logs(self) -> Dict[str, Any]:
        """`get_details` with the text of the logs in the place of their addresses."""
        shown = self.get_details()
        shown["logFiles"] = {name: self._log_text(name) for name in shown["logFiles"]}
        return shown

    def _log_text(self, name: str) -> str:
        answer = self._scope.client.raw("GET", self._scope.run_path(self._id, "files", name))
        return answer.body.decode("utf-8", "replace")

    def get_environment(self) -> Any:
        """The environment of a submitted run."""
        spec = self._info().spec
        if spec is None:
            raise errors.UserErrorException(f"Run {self._id} was not submitted, so it has no environment.")
        from modelyard.environments import Environment  # scripts don't ask for it
        from modelyard.wire.environments import EnvironmentSpec

        return Environment.from_spec(spec.environment or EnvironmentSpec())

    @property
    def _sender(self) -> Any:
        """Who keeps what this run logs where no run host does."""
        return self._scope.client.sender or sender()

    @property
    def _host_directory(self) -> str:
        """Where a run host looks for what this run logs; empty where there is none."""
        return "" if self._scope.client.sender is not None else context.journal_directory()

    @property
    def _is_context(self) -> bool:
        return os.environ.get("AZUREML_RUN_ID") == self._id and bool(context.journal_directory())

    def start(self) -> None:
        """Mark a run as Running that was created NotStarted."""
        self._report(RunStatusReport(RunStatus.RUNNING))

    def complete(self, _set_status: bool = True) -> None:
        """All is logged and the run has ended well. Waits until the yard has everything.

        A submitted script may call this of its own run: the run ends when the script does.
        """
        self._keep_outputs()
        self.flush()
        if _set_status and not self._is_context:
            self._end(RunStatusReport(RunStatus.COMPLETED))

    def fail(
        self, error_details: Any = None, error_code: Optional[str] = None, _set_status: bool = True
    ) -> None:
        """The run has ended badly, for the reason given (text or an exception)."""
        self.flush()
        if _set_status:
            self._end(RunStatusReport(RunStatus.FAILED, error=_error(error_details, error_code)))

    def cancel(self) -> None:
        """Ask the run to stop: SIGTERM, some time to end well, SIGKILL."""
        self._known = self._scope.client.request(
            "POST", self._scope.run_path(self._id, "cancel"), kind=RunInfo, idempotent=True
        )
        if self._known is not None and self._known.status in details.FINAL:
            self._sender.disown(self._id)

    def clean(self) -> None:
        """v1 removed files on the compute here; a node of the yard clears up by itself."""

    def flush(self, timeout_seconds: float = 300) -> None:
        """Wait until the yard holds all that this process has logged to this run, durably.

        Raises AzureMLException when that takes longer than `timeout_seconds`.
        """
        if self._journal is None:
            return
        if not self._host_directory:
            self._sender.flush(self._id, timeout_seconds)
            return
        wanted, deadline, pause_s = self._journal.size(), time.monotonic() + timeout_seconds, _FLUSH_POLL_S
        while True:
            held = self._held()
            if held >= wanted:
                return
            if time.monotonic() > deadline:
                raise errors.AzureMLException(
                    f"After {timeout_seconds} s the yard holds {held} of {wanted} bytes of the metrics of run "
                    f"{self._id}. They are safe in {self._journal.path} and are sent when the yard is back.",
                    code="flush_timeout",
                )
            time.sleep(pause_s)
            pause_s = min(0.5, pause_s * 1.5)

    def _held(self) -> int:
        assert self._journal is not None
        answer = self._scope.client.request(
            "GET", self._scope.run_path(self._id, "journal"), query={"source": self._journal.source}
        )
        return int(answer["offset"])

    def _end(self, report: RunStatusReport) -> None:
        try:
            self._report(report)
        except errors.Conflict:
            if self._info(refresh=True).status is not RunStatus.NOT_STARTED:
                raise
            self.start()  # a child that create_children made, and that nobody started
            self._report(report)
        self._sender.disown(self._id)

    def _report(self, report: RunStatusReport) -> None:
        self._known = self._scope.client.request(
            "POST", self._scope.run_path(self._id, "status"), report, kind=RunInfo, idempotent=True
        )

    def _be(self) -> None:
        """This process is the run from now on: keep it alive, and end it with the process."""
        self._began = time.time()
        if self._host_directory:
            return
        self._sender.own(self)
        if self._outputs is False or (self._outputs is None and self._info().parent_id is not None):
            return  # children share the parent's ./outputs, and the parent keeps it
        self._kept_folder = os.path.abspath(self._outputs if isinstance(self._outputs, str) else "outputs")
        try:
            os.makedirs(self._kept_folder, exist_ok=True)  # as v1 did: scripts write there without asking
        except OSError:
            pass  # a directory that can't be written to; what is logged needs none

    def _keep_outputs(self) -> None:
        if self._kept_folder is None:
            return
        # File systems keep times a little coarsely.
        found = files.entries_since(self._kept_folder, self._began - 1.0)
        if found:
            files.add(self._scope, self._id, list(found.items()), overwrite=True)

    def wait_for_completion(
        self, show_output: bool = False, wait_post_processing: bool = False, raise_on_error: bool = True
    ) -> Dict[str, Any]:
        """Wait for the end; with `show_output` the logs are printed as they grow. Answers `get_details()`.

        Raises ActivityFailedException with the user's failing line when the run fails.
        """
        info = streaming.wait(self._scope, self._id, show_output, self.get_portal_url())
        self._known = info
        if info.status is RunStatus.FAILED and raise_on_error:
            raise streaming.failure(info)
        return details.as_dictionary(info, self._scope)

    def child_run(
        self,
        name: Optional[str] = None,
        run_id: Optional[str] = None,
        outputs: Union[bool, str, None] = None,
    ) -> Any:
        """A new run below this one, Running."""
        info = creating.create(
            self._scope,
            self._experiment_name(),
            run_id,
            parent_id=self._id,
            display_name=name or "",
            type=_CHILD,
        )
        child = Run(self._own_experiment, info.id, outputs, _scope=self._scope, _info=info)
        child._be()
        return child

    def create_children(
        self,
        count: Optional[int] = None,
        tag_key: Optional[str] = None,
        tag_values: Optional[Sequence[str]] = None,
    ) -> List[Any]:
        """Many child runs in one request; each starts when it is used in a `with`, or by `start()`."""
        made = creating.create_children(
            self._scope, self._id, self._experiment_name(), count, tag_key, tag_values
        )
        return [rehydrate(self._scope, info, self._own_experiment) for info in made]

    def submit_child(self, config: Any, tags: Optional[Dict[str, Any]] = None, **kwargs: Any) -> Any:
        """Submit a run configuration as a child of this run."""
        from modelyard.runs.submit import submit  # walks and uploads directories, which most scripts never do

        info = submit(self._scope, self._experiment_name(), config, tags=tags, parent_id=self._id, **kwargs)
        return rehydrate(self._scope, info, self._own_experiment)

    def get_children(
        self,
        recursive: bool = False,
        tags: details.Filter = None,
        properties: details.Filter = None,
        type: Optional[str] = None,
        status: Union[str, List[str], None] = None,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Any]:
        """Child runs, with `recursive` theirs too."""
        found = details.children(self._scope, self._id, recursive, type, tags, properties, status)
        return (rehydrate(self._scope, info, self._own_experiment) for info in found)

    def _experiment_name(self) -> str:
        if self._is_context and os.environ.get("AZUREML_ARM_PROJECT_NAME"):
            return os.environ["AZUREML_ARM_PROJECT_NAME"]
        return self._info().experiment

    def archive(self) -> None:
        """Leave it and the runs below it out of lists; everything is kept."""
        self._update(RunUpdate(archived=True))

    def reactivate(self) -> None:
        """Bring it back after `archive`."""
        self._update(RunUpdate(archived=False))

    def delete(self) -> None:
        """Put it and the runs below it, which must be over, into the trash: `workspace.trash.restore(run.id)`."""
        self._scope.client.request("DELETE", self._scope.run_path(self._id))

    def tag(self, key: str, value: Optional[str] = None) -> None:
        """Set a tag; the value is optional."""
        self.set_tags({key: value})

    def set_tags(self, tags: Dict[str, Any]) -> None:
        """Set tags, over values they have."""
        self._update(RunUpdate(set_tags={str(k): "" if v is None else str(v) for k, v in tags.items()}))

    def remove_tags(self, tags: Union[str, Sequence[str]]) -> Dict[str, str]:
        """Remove tags by name; answers what is left."""
        self._update(RunUpdate(remove_tags=[tags] if isinstance(tags, str) else [str(one) for one in tags]))
        return dict(self._info().tags)

    def get_tags(self) -> Dict[str, str]:
        return dict(self._info(refresh=True).tags)

    def add_properties(self, properties: Dict[str, Any]) -> None:
        """Add properties. A property is for ever: giving another value to one that exists raises Conflict."""
        self._update(RunUpdate(add_properties={str(k): str(v) for k, v in properties.items()}))

    def get_properties(self) -> Dict[str, str]:
        return dict(self._info(refresh=True).properties)

    def _update(self, update: RunUpdate) -> None:
        self._known = self._scope.client.request(
            "PATCH", self._scope.run_path(self._id), update, kind=RunInfo
        )

    def _journal_record(self, record: bytes) -> None:
        journal = self._journal
        if journal is None:
            directory = self._host_directory
            journal = Journal(directory, self._id) if directory else self._sender.open(self._scope, self._id)
            self._journal = journal
        journal.write(record)

    def _keep_image(self, name: str, path: Optional[str], plot: Any) -> str:
        stamp = int(time.time() * 1000)
        if path is not None:
            kept = f"{name}_{stamp}{os.path.splitext(path)[1] or '.png'}"
            files.add(self._scope, self._id, [(kept, path)])
            return kept
        if not hasattr(plot, "savefig"):
            raise errors.UserErrorException(
                f"log_image({name!r}): plot must have savefig, as matplotlib.pyplot and its figures do, "
                f"not a {plot.__class__.__name__}."
            )
        import io  # only for plots

        drawn = io.BytesIO()
        plot.savefig(drawn, format="png")
        kept = f"{name}_{stamp}.png"
        files.add_stream(self._scope, self._id, kept, drawn.getvalue())
        return kept

    def compare(self, *others: Any, all: bool = False, diff: Optional[str] = None) -> Any:
        """What differs between this run and others (`Run` objects or ids): see `Workspace.compare_runs`."""
        return self.experiment.workspace.compare_runs(self, *others, all=all, diff=diff)

    def get_metrics(
        self,
        name: Optional[str] = None,
        recursive: bool = False,
        run_type: Optional[str] = None,
        populate: bool = False,
    ) -> Dict[str, Any]:
        """What was logged, by name. With `recursive`: {run id: metrics} of this run and all below it.

        Values logged once are scalars, logged more often lists; rows and tables are {column: values}; documents are
        their dictionary (`populate` or not).
        """
        if self._journal is not None:
            self.flush()
        answer = metrics.fetch(self._scope, self._id, name, recursive)
        if not recursive:
            return metrics.as_dictionary(answer.runs[0].metrics) if answer.runs else {}
        wanted = (
            {i.id for i in details.children(self._scope, self._id, True, run_type, None, None, None)}
            if run_type
            else None
        )
        return {
            one.run_id: metrics.as_dictionary(one.metrics)
            for one in answer.runs
            if wanted is None or one.run_id in wanted
        }

    def __enter__(self) -> Run:
        if not self._is_context:
            if self._info().status is RunStatus.NOT_STARTED:
                self.start()
            if not self._began:
                self._be()
        return self

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        if value is None:
            self.complete()
        elif isinstance(value, KeyboardInterrupt):
            self.cancel()
        elif not self._is_context:  # of a submitted script the run host tells, by its exit code and log
            self.fail(error_details=value)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Run)
            and other._id == self._id
            and other._scope.workspace == self._scope.workspace
        )

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        info = self._info()
        return f"Run(Experiment: {info.experiment},\nId: {self._id},\nType: {info.type or None},\nStatus: {info.status.value})"

    def _repr_html_(self) -> str:
        from html import escape  # notebooks only

        info = self._info(refresh=True)
        head = ["Experiment", "Id", "Type", "Status", "Details Page"]
        link = f'<a href="{escape(self.get_portal_url())}" target="_blank" rel="noopener">Link to the run</a>'
        cells = [escape(x) for x in (info.experiment, self._id, info.type or "None", info.status.value)] + [
            link
        ]
        return "<table><thead><tr>{}</tr></thead><tbody><tr>{}</tr></tbody></table>".format(
            "".join(f"<th>{one}</th>" for one in head), "".join(f"<td>{one}</td>" for one in cells)
        )


class ScriptRun(Run):
    """A run that was submitted as a script."""

    RUN_TYPE = "azureml.scriptrun"

    def __init__(self, experiment: Any, run_id: str, directory: Optional[str] = None, **kwargs: Any) -> None:
        super().__init__(experiment, run_id, **kwargs)
        self._directory = directory  # v1's; the yard has the snapshot


def rehydrate(scope: Scope, info: RunInfo, experiment: Any = None) -> Any:
    """The object for a run that the yard told of, of the class its type asks for."""
    factory = _types.get(info.type)
    made = Run(experiment, info.id, _scope=scope, _info=info)
    if factory is not None:
        return factory(made.experiment, info)
    if info.type == ScriptRun.RUN_TYPE:
        return ScriptRun(experiment, info.id, _scope=scope, _info=info)
    return made


def _error(given: Any, code: Optional[str]) -> RunError:
    if isinstance(given, BaseException):
        import traceback  # only where something went wrong

        lines = traceback.format_exception(type(given), given, given.__traceback__)
        frames = traceback.extract_tb(given.__traceback__)
        said = "".join(traceback.format_exception_only(type(given), given)).strip()
        line = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}: {said}" if frames else said
        return RunError(code or "UserError", said, line=line, traceback="".join(lines))
    return RunError(code or "UserError", str(given) if given is not None else "The run was marked as failed.")
