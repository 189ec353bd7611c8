"""Deployment without an entry script: the scoring host brings one for what MLflow wrote, and for some frameworks."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from modelyard import model_paths
from modelyard.errors import UserErrorException
from modelyard.wire.environments import EnvironmentSpec, PythonSpec

# Framework -> what its environment needs. An ONNX model's framework version is not that of a runtime.
_PACKAGES = {"ScikitLearn": "scikit-learn", "TensorFlow": "tensorflow", "Onnx": "onnxruntime"}
_PINNED = ("ScikitLearn", "TensorFlow")


def code_fields(models: Sequence[Any]) -> Dict[str, Any]:
    """The fields of a ServiceSpec for a model without code. Raises UserErrorException."""
    if len(models) != 1 or isinstance(models[0], str):
        raise UserErrorException(
            "Without an inference_config exactly one registered Model can be deployed. "
            "Give an InferenceConfig."
        )
    model = models[0]
    if _is_of_mlflow(model):
        # The yard takes the environment from what the model says of itself.
        return {"entry_script": "", "snapshot_id": "", "variables": {}, "recorded": {"no_code": True}}
    framework: str = getattr(model, "model_framework", None) or "Custom"
    if framework not in _PACKAGES:
        raise UserErrorException(
            f"Model {model.id!r} is of framework {framework!r}: only {', '.join(sorted(_PACKAGES))} models, and those that "
            "MLflow wrote, are served without code. Give an InferenceConfig with an entry script."
        )
    return {
        "entry_script": "",
        "snapshot_id": "",
        "environment": EnvironmentSpec(
            python=PythonSpec(
                requirements=_requirements(framework, getattr(model, "model_framework_version", None))
            )
        ),
        "variables": {},
        "recorded": {"no_code": True},
    }


def _is_of_mlflow(model: Any) -> bool:
    """Whether a file MLmodel is at the top of the model's files, or of its one folder."""
    found = model_paths.files(model_paths.door_of(model.workspace), model.name, model.version)
    return any(f.path.rpartition("/")[2] == "MLmodel" and f.path.count("/") < 2 for f in found)


def _requirements(framework: str, version: Optional[str]) -> List[str]:
    package = _PACKAGES[framework]
    return [f"{package}=={version}" if version and framework in _PINNED else package]
