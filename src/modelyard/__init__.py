"""modelyard: Azure Machine Learning v1's architecture as one open, self-hosted system.

`from modelyard import Workspace, Experiment, Run, …`: every public name is found through the table below and
its module is imported at first use, so that `import modelyard` costs next to nothing.
"""

import sys

if sys.version_info < (3, 7):  # noqa: UP036  # said plainly, since pip's own check can be bypassed by PYTHONPATH
    raise ImportError(
        "modelyard needs Python 3.7 or newer, this is {}.{}. Name a newer one in the environment "
        "(conda: python=3.8).".format(*sys.version_info[:2])
    )

from modelyard.version import VERSION

__version__ = VERSION

_MODULES = {
    "modelyard.workspace": ("Workspace",),
    "modelyard.experiment": ("Experiment", "ViewType"),
    "modelyard.runs.run": ("Run", "ScriptRun"),
    "modelyard.runs.offline": ("_OfflineRun",),
    "modelyard.script_run_config": ("ScriptRunConfig",),
    "modelyard.runconfig": (
        "DockerConfiguration",
        "MpiConfiguration",
        "ParallelTaskConfiguration",
        "PyTorchConfiguration",
        "RunConfiguration",
        "TensorflowConfiguration",
    ),
    "modelyard.compute": ("ComputeTarget", "LocalTarget"),
    "modelyard.environments": ("Environment", "PythonSection", "DockerSection"),
    "modelyard.environment_sections": ("DEFAULT_CPU_IMAGE", "DEFAULT_GPU_IMAGE"),
    "modelyard.conda_dependencies": ("CondaDependencies",),
    "modelyard.data.datastore": ("Datastore",),
    "modelyard.models": ("Model",),
    "modelyard.endpoints": (
        "AciWebservice",
        "AksWebservice",
        "InferenceConfig",
        "LocalWebservice",
        "Webservice",
    ),
    "modelyard.widgets": ("RunDetails",),
    "modelyard.tensorboard": ("Tensorboard", "export_to_tensorboard"),
    "modelyard.identity": (
        "ArmTokenAuthentication",
        "AzureCliAuthentication",
        "InteractiveLoginAuthentication",
        "MsiAuthentication",
        "ServicePrincipalAuthentication",
    ),
}

_NAMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = ["__version__", *sorted(name for name in _NAMES if not name.startswith("_"))]  # noqa: PLE0604  # names all


def __getattr__(name):  # type: ignore[no-untyped-def]  # the table decides the type
    module = _NAMES.get(name)
    if module is None:
        raise AttributeError(f"module 'modelyard' has no name {name!r}")
    import importlib  # here, as a script that only wants the version needs none of it

    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__():  # type: ignore[no-untyped-def]  # as above
    return sorted([*globals(), *__all__])
