"""What a registration says of a model: its labels as text, and which local files belong to it."""

from __future__ import annotations

import os
import re
import uuid
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from modelyard import errors
from modelyard.wire.models import ModelRegister

DEFAULT_FRAMEWORK = "Custom"
_NAME = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"
)  # v1's rule; MLflow's clients may call models otherwise


def registration(
    name: str,
    tags: Optional[Mapping[str, Any]],
    properties: Optional[Mapping[str, Any]],
    description: Optional[str],
    datasets: Optional[Sequence[Any]],
    framework: Optional[str],
    framework_version: Optional[str],
    sample_input: Any,
    sample_output: Any,
    resource_configuration: Any,
    **files: Any,
) -> ModelRegister:
    if not _NAME.fullmatch(str(name)):
        raise errors.UserErrorException(
            f"Model name {name!r} can't be used: it needs 1 to 255 letters, digits, '.', '-' or '_' and begins with a "
            "letter or digit."
        )
    recorded: Dict[str, Any] = {}
    if datasets:
        recorded["datasets"] = [[str(purpose), _dataset_id(one)] for purpose, one in datasets]
    if sample_input is not None:
        recorded["sample_input_dataset"] = _dataset_id(sample_input)
    if sample_output is not None:
        recorded["sample_output_dataset"] = _dataset_id(sample_output)
    if resource_configuration is not None:
        recorded["resource_configuration"] = resource_configuration.serialize()
    return ModelRegister(
        name=name,
        request_id=uuid.uuid4().hex,
        description=description or "",
        tags=labels("tags", tags),
        properties=labels("properties", properties),
        framework=framework or DEFAULT_FRAMEWORK,
        framework_version=str(framework_version or ""),
        recorded=recorded,
        user=_user(),
        **files,
    )


def _user() -> str:
    import getpass  # looks at the environment and the password database; needed at registration alone

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def _dataset_id(dataset: Any) -> str:
    return str(getattr(dataset, "id", None) or getattr(dataset, "name", None) or dataset)


def labels(argument: str, given: Optional[Mapping[str, Any]]) -> Dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise errors.UserErrorException(
            f"{argument} must be a dictionary of text, not {type(given).__name__}."
        )
    return {str(key): "" if value is None else str(value) for key, value in given.items()}


def local_files(
    model_path: Union[str, Sequence[str]], child_paths: Optional[Sequence[str]]
) -> List[Tuple[str, str]]:
    """(path in the model, local file) pairs. Raises UserErrorException."""
    if isinstance(model_path, (list, tuple)):
        if child_paths:
            raise errors.UserErrorException("child_paths go with one folder as model_path, not with a list.")
        pairs = [pair for one in model_path for pair in _below(os.fspath(one), _base(os.fspath(one)))]
    else:
        root = str(model_path)
        if child_paths:
            pairs = [pair for child in child_paths for pair in _child(root, os.fspath(child))]
        else:
            pairs = _below(root, _base(root))
    if not pairs:
        raise errors.UserErrorException(f"model_path {model_path!r} holds no files.")
    return sorted(set(pairs))


def _base(local: str) -> str:
    return os.path.basename(os.path.abspath(local))


def _child(root: str, child: str) -> List[Tuple[str, str]]:
    inside = os.path.relpath(os.path.join(root, child), root)
    if inside.split(os.sep)[0] == os.pardir:
        raise errors.UserErrorException(f"child_paths: {child!r} is not inside {root!r}.")
    return _below(os.path.join(root, child), _base(root) + "/" + inside.replace(os.sep, "/"))


def _below(local: str, name: str) -> List[Tuple[str, str]]:
    if os.path.isfile(local):
        return [(name, local)]
    if not os.path.isdir(local):
        raise errors.UserErrorException(f"model_path {local!r} does not exist (looked in {os.getcwd()}).")
    found = []
    for directory, _, files in os.walk(local):
        inside = os.path.relpath(directory, local).replace(os.sep, "/")
        prefix = name if inside == "." else name + "/" + inside
        found += [(prefix + "/" + file, os.path.join(directory, file)) for file in files]
    return found
