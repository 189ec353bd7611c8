"""InferenceConfig: which code answers requests, and in which environment."""

from __future__ import annotations

import ast
import logging
import os
from typing import Any, Dict, List, Optional, Set

from modelyard.errors import NotYetAvailable, UserErrorException
from modelyard.wire.environments import EnvironmentSpec

log = logging.getLogger(__name__)


class InferenceConfig:
    """An entry script with `init()` and `run(data)`, the directory it lives in, and its environment.

    With `source_directory` all of it travels and `entry_script` is a path inside it; without one only
    the entry script itself travels. `environment` is an Environment; the older `conda_file` makes one.
    """

    def __init__(
        self,
        entry_script: str,
        runtime: Optional[str] = None,
        conda_file: Optional[str] = None,
        extra_docker_file_steps: Optional[str] = None,
        source_directory: Optional[str] = None,
        enable_gpu: Optional[bool] = None,
        description: Optional[str] = None,
        base_image: Optional[str] = None,
        base_image_registry: Any = None,
        cuda_version: Optional[str] = None,
        environment: Any = None,
    ) -> None:
        self.entry_script = entry_script
        self.runtime = runtime
        self.conda_file = conda_file
        self.extra_docker_file_steps = extra_docker_file_steps
        self.source_directory = source_directory
        self.enable_gpu = enable_gpu
        self.description = description
        self.base_image = base_image
        self.base_image_registry = base_image_registry
        self.cuda_version = cuda_version
        self.environment = environment
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Raises UserErrorException naming what does not fit, before anything is sent."""
        if not self.entry_script or not isinstance(self.entry_script, str):
            raise UserErrorException("InferenceConfig needs an entry_script, the path of your score.py.")
        if self.source_directory is not None and not os.path.isdir(self.source_directory):
            raise UserErrorException(
                f"InferenceConfig: source_directory {self.source_directory!r} is not a directory "
                f"(looked in {os.getcwd()})."
            )
        if not os.path.isfile(self._entry_path()):
            raise UserErrorException(self._missing_entry())
        if not self._entry_name().lower().endswith(".py"):
            raise UserErrorException(
                f"InferenceConfig: entry_script {self.entry_script!r} must be a .py file."
            )
        if self.runtime is not None and self.runtime.lower() not in ("python", "python-slim"):
            raise UserErrorException(
                f"InferenceConfig: runtime {self.runtime!r} is not there; 'python' is. "
                "Better still give environment=."
            )
        if self.environment is not None and not hasattr(self.environment, "to_spec"):
            raise UserErrorException(
                "InferenceConfig: environment must be an Environment, not "
                f"{type(self.environment).__name__}. "
                "Make one: Environment.from_conda_specification(name, file_path)."
            )
        if self.environment is not None and self.conda_file:
            raise UserErrorException("InferenceConfig: give environment or conda_file, not both.")
        if self.conda_file:
            self._conda_path()

    def validation_script_content(self) -> None:
        """Raises UserErrorException when the entry script has no `init` or no `run`.

        A script that this Python can't parse is left to the Python of its environment.
        """
        with open(self._entry_path(), "rb") as file:
            source = file.read()
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return
        names = _bound_names(tree)
        missing = [name for name in ("init", "run") if name not in names and "*" not in names]
        if missing:
            raise UserErrorException(
                "Entry script {} has no {}. It needs init(), called once, "
                "and run(data), called for each request.".format(
                    self.entry_script, " and no ".join(f"{name}()" for name in missing)
                )
            )

    def directory(self) -> str:
        """The directory that travels (or of which one file does), absolute."""
        if self.source_directory is not None:
            return os.path.abspath(self.source_directory)
        return os.path.dirname(os.path.abspath(self._entry_path()))

    def files(self) -> Optional[List[str]]:
        """The files of `directory()` that travel; None for all."""
        return None if self.source_directory is not None else [self._entry_name()]

    def entry_in_directory(self) -> str:
        """The entry script as a `/`-separated path inside `directory()`."""
        return self._entry_name()

    def environment_spec(self) -> Optional[EnvironmentSpec]:
        """None: the Python that runs the yard."""
        if self.extra_docker_file_steps or self.base_image:
            log.warning(
                "InferenceConfig: base_image and extra_docker_file_steps are recorded; no container is built."
            )
        if self.environment is not None:
            from modelyard.environments import resolve_interpreter  # loaded already: `environment` is of it

            return resolve_interpreter(self.environment.to_spec())
        if self.conda_file:
            from modelyard.environments import Environment  # only the older form needs to make one

            name = "inference-" + os.path.splitext(os.path.basename(self.conda_file))[0]
            return Environment.from_conda_specification(name, self._conda_path()).to_spec()
        return None

    def recorded(self) -> Dict[str, Any]:
        """What was given and is kept with the service; the paths let `reload` take the files again."""
        given = {
            "source_directory": self.directory(),
            "entry_script_only": self.source_directory is None,
            "description": self.description,
            "runtime": self.runtime,
            "base_image": self.base_image,
            "cuda_version": self.cuda_version,
            "enable_gpu": self.enable_gpu,
        }
        return {name: value for name, value in given.items() if value is not None}

    def build_create_payload(
        self,
        workspace: Any,  # v1's signature
        name: str,
        model_ids: List[str],
    ) -> Dict[str, Any]:
        """v1's request of a deployment, for looking at."""
        spec = self.environment_spec()
        return {
            "name": name,
            "modelIds": list(model_ids),
            "entryScript": self._entry_name(),
            "environment": spec.name if spec else "",
        }

    def build_profile_payload(
        self,
        profile_name: str,
        input_data: Any = None,
        workspace: Any = None,
        models: Optional[List[Any]] = None,
        dataset_id: Optional[str] = None,
        container_resource_requirements: Any = None,
        description: Optional[str] = None,
    ) -> Dict[str, Any]:
        raise NotYetAvailable("Model.profile is not there yet, so there is no request of it to show.")

    def _entry_path(self) -> str:
        if self.source_directory is None or os.path.isabs(self.entry_script):
            return self.entry_script
        return os.path.join(self.source_directory, self.entry_script)

    def _entry_name(self) -> str:
        if self.source_directory is None:
            return os.path.basename(self.entry_script)
        inside = os.path.relpath(os.path.abspath(self._entry_path()), os.path.abspath(self.source_directory))
        if inside.startswith(".."):
            raise UserErrorException(
                f"InferenceConfig: entry_script {self.entry_script!r} is outside of source_directory "
                f"{self.source_directory!r}."
            )
        return inside.replace(os.sep, "/")

    def _missing_entry(self) -> str:
        if self.source_directory is None:
            return (
                f"InferenceConfig: entry_script {self.entry_script!r} is not a file "
                f"(looked in {os.getcwd()})."
            )
        held = sorted(os.listdir(self.source_directory))
        shown = ", ".join(held[:20]) + (f" and {len(held) - 20} more" if len(held) > 20 else "")
        return (
            f"InferenceConfig: entry_script {self.entry_script!r} is not in source_directory "
            f"{self.source_directory!r}, which holds: {shown or 'nothing'}. "
            "The path is relative to that directory."
        )

    def _conda_path(self) -> str:
        assert self.conda_file is not None
        places = [os.path.join(self.source_directory, self.conda_file)] if self.source_directory else []
        for place in [*places, self.conda_file]:
            if os.path.isfile(place):
                return place
        raise UserErrorException(
            f"InferenceConfig: conda_file {self.conda_file!r} is neither in source_directory "
            f"nor in {os.getcwd()}."
        )


def _bound_names(tree: ast.AST) -> Set[str]:
    """Every name that a definition, assignment or import binds anywhere; `*` for a star import."""
    names: Set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((alias.asname or alias.name) for alias in node.names)
    return names
