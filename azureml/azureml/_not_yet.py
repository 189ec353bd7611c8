"""What happens to names of SDK v1 that modelyard does not have yet."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any, Callable, Optional, Sequence

from azureml import _catalogue

_AKS = "AksWebservice.deploy_configuration() with Model.deploy and no deployment_target: it runs on the yard's machine"
_EXPLAIN = "interpret-community or shap in the script itself, and Run.upload_file for what they find"

# First match wins; the key is a prefix of "module.name".
_NEAREST = (
    ("azureml.core.dataset", "pass the path of the data as a script argument, or keep it beside the script"),
    ("azureml.core.Dataset", "pass the path of the data as a script argument, or keep it beside the script"),
    ("azureml.data.data_reference", "Workspace.get_default_datastore().download(…) inside the run"),
    ("azureml.data.DataReference", "Workspace.get_default_datastore().download(…) inside the run"),
    ("azureml.data", "pass the path of the data as a script argument, or keep it beside the script"),
    ("azureml.dataprep", "pandas in the script itself"),
    ("azureml.opendatasets", "a file that the script reads itself"),
    ("azureml.core.keyvault", "RunConfiguration.environment_variables"),
    ("azureml.core.Keyvault", "RunConfiguration.environment_variables"),
    ("azureml.pipeline", "one Experiment.submit per step, or Run.submit_child from a driving script"),
    ("azureml.contrib.pipeline", "one Experiment.submit per step, or Run.submit_child from a driving script"),
    (
        "azureml.train.hyperdrive",
        "Run.submit_child in a loop over the parameters, and Run.get_children to compare",
    ),
    ("azureml.train.automl", "a training script of your own, submitted with ScriptRunConfig"),
    ("azureml.automl", "a training script of your own, submitted with ScriptRunConfig"),
    ("azureml.contrib.automl", "a training script of your own, submitted with ScriptRunConfig"),
    ("azureml.train", "ScriptRunConfig(source_directory, script, arguments, environment=…)"),
    ("azureml.explain", _EXPLAIN),
    ("azureml.interpret", _EXPLAIN),
    ("azureml.contrib.explain", _EXPLAIN),
    ("azureml.contrib.interpret", _EXPLAIN),
    ("azureml.contrib.fairness", "fairlearn in the script itself, and Run.upload_file for what it finds"),
    ("azureml.contrib.train", "ScriptRunConfig(source_directory, script, arguments, environment=…)"),
    ("azureml.core.compute.aks", _AKS),
    ("azureml.core.compute.Aks", _AKS),
    ("azureml.core.compute", "compute_target='local'"),
    ("azureml.core.ComputeTarget", "compute_target='local'"),
    ("azureml.core.image", "Model.deploy with an InferenceConfig"),
    ("azureml.core.Image", "Model.deploy with an InferenceConfig"),
    ("azureml.core.webservice.AksEndpoint", _AKS),
    ("azureml.core.webservice", "LocalWebservice or AciWebservice with Model.deploy"),
    ("azureml.contrib.iot", "Model.deploy on the machine that runs the yard"),
    ("azureml.contrib.core", "Model.deploy on the machine that runs the yard"),
    ("azureml.mlflow.deploy", "Model.deploy with azureml.mlflow.register_model's model"),
    ("azureml.monitoring", "prints in the entry script, read with Webservice.get_logs"),
    ("azureml.datadrift", "a script of your own that compares the data, submitted with ScriptRunConfig"),
)
_DEFAULT_NEAREST = "the classes of azureml.core"


def _message(full_name: str) -> str:
    nearest = next((text for prefix, text in _NEAREST if full_name.startswith(prefix)), _DEFAULT_NEAREST)
    return f"{full_name} is part of SDK v1 that modelyard does not have yet. Nearest thing that works: {nearest}."


class _NotYet(type):
    """The type of stand-ins: any use raises, merely importing does not; nothing is an instance of one."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(_message(cls._full_name))

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):  # what Python itself asks of any class: copy, inspect, doctest
            raise AttributeError(name)
        raise NotImplementedError(_message(cls._full_name + "." + name))

    def __instancecheck__(cls, instance: Any) -> bool:
        return False

    def __subclasscheck__(cls, subclass: Any) -> bool:
        return False

    def __repr__(cls) -> str:
        return f"<not in modelyard yet: {cls._full_name}>"


def _stand_in(module: str, name: str) -> Any:
    full_name = f"{module}.{name}"
    if name.endswith(("Exception", "Error", "Warning")):
        # Scripts name exceptions in `except` clauses; a class that is never raised is all they need.
        return type(name, (Exception,), {"__module__": module, "__doc__": _message(full_name)})
    if name.isupper():
        raise NotImplementedError(_message(full_name))  # a constant has no use that could be put off
    return _NotYet(name, (), {"_full_name": full_name, "__module__": module, "__doc__": _message(full_name)})


def names_of(module: str) -> Callable[[str], Any]:
    """A module's `__getattr__`: a stand-in for a name that v1 has there, AttributeError for any other."""

    def __getattr__(name: str) -> Any:  # this is the module hook of PEP 562
        if _catalogue.has_name(module, name):
            stand_in = _stand_in(module, name)
            setattr(sys.modules[module], name, stand_in)
            return stand_in
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return __getattr__


class _Catalogue(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves the modules that v1 had and that no file here provides. Asked last, so that real files win."""

    def find_spec(
        self, fullname: str, path: Optional[Sequence[Any]], target: Optional[ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        if not _catalogue.has_module(fullname):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Optional[ModuleType]:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = _message(module.__name__)
        module.__getattr__ = names_of(module.__name__)  # type: ignore[method-assign]  # PEP 562 on a made module


def install() -> None:
    """Serve catalogue modules from now on; installing twice is the same as once."""
    if not any(isinstance(finder, _Catalogue) for finder in sys.meta_path):
        sys.meta_path.append(_Catalogue())
