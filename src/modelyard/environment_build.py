"""Builds of an Environment, asked for and looked at from Python."""

from __future__ import annotations

import importlib
import os
import tempfile
from typing import Any, Dict, Optional

from modelyard import errors
from modelyard.wire.environment_hash import content_hash, is_user_managed
from modelyard.wire.environments import BuildInfo, BuildStatus

BUILD_EXPERIMENT = "environment-builds"
_BUILDS = "/api/v1/environments/builds"


class ImageBuildDetails:
    """A build that was asked for. `run` is the run that caused it: it does nothing once the environment is there."""

    def __init__(self, run: Any) -> None:
        self.run = run

    @property
    def status(self) -> str:
        return str(self.run.get_status())

    @property
    def log_url(self) -> Optional[str]:
        url: Optional[str] = self.run.get_portal_url()
        return url

    def wait_for_completion(self, show_output: bool = True) -> Any:
        """Wait until it is built. Raises ActivityFailedException with the resolver's words if it can't be."""
        return self.run.wait_for_completion(show_output=show_output)

    def __repr__(self) -> str:
        return f"ImageBuildDetails(run={self.run.id!r})"


class DockerImageDetails(Dict[str, Any]):
    """A dictionary whose keys can be read as attributes, as v1's."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def build(environment: Any, workspace: Any) -> ImageBuildDetails:
    """Submit a run in this environment that ends at once."""
    # Named, not imported: experiments stand above environments, and only who asks for a build needs them.
    experiment = importlib.import_module("modelyard.experiment")
    script_run_config = importlib.import_module("modelyard.script_run_config")
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "built.py"), "w", encoding="utf-8") as file:
            file.write("import sys\n\nprint('The environment is ready:', sys.version)\n")
        config = script_run_config.ScriptRunConfig(
            source_directory=directory, script="built.py", environment=environment
        )
        return ImageBuildDetails(experiment.Experiment(workspace, BUILD_EXPERIMENT).submit(config))


def image_details(environment: Any, workspace: Any) -> DockerImageDetails:
    """`image_exist`: whether it has been built. There is no image; the other image keys are empty."""
    spec = environment.to_spec()
    digest = content_hash(spec)
    details = DockerImageDetails(
        image_exist=is_user_managed(spec), content_hash=digest, repository="", registry={"address": ""},
        image={"name": "", "dockerfile": environment.docker.base_dockerfile or ""}, interpreter_path="",
        environment_path="", dockerfile=environment.docker.base_dockerfile or "", packages=[], python_version="",
    )  # fmt: skip
    if is_user_managed(spec):
        details["interpreter_path"] = spec.python.interpreter_path or "python"
        return details
    try:
        info = workspace._client.request("GET", f"{_BUILDS}/{digest}", kind=BuildInfo)
    except errors.NotFound:
        return details
    built = info.status is BuildStatus.SUCCEEDED
    details.update(
        image_exist=built, packages=list(info.lock), python_version=info.python_version, error=info.error
    )
    return details
