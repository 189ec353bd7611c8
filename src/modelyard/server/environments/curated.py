"""The curated environments of SDK v1, by what they stand for. Data, and the one function that reads it.

Azure kept an image per name. Here a name stands for the packages it promised, at the versions that suit the Python in
use; where the name says a version that is not installed, the build log says so.
"""

from __future__ import annotations

import re

from modelyard.wire.environments import EnvironmentSpec, PythonSpec

VERSION = "1"

_COMMON = ["azureml-defaults"]
# Pattern of names (case does not count) -> what is installed.
_FAMILIES = {
    r"AzureML-Minimal": [],
    r"AzureML-Tutorial": ["numpy", "pandas", "scikit-learn", "matplotlib", "joblib", "pyarrow"],
    r"AzureML-(?:Scikit-?learn|sklearn)(?:-.+)?": ["numpy", "scipy", "pandas", "scikit-learn", "joblib"],
    r"AzureML-TensorFlow(?:-.+)?": ["numpy", "pandas", "tensorflow", "scikit-learn", "matplotlib"],
    r"AzureML-(?:ACPT-)?PyTorch(?:-.+)?": ["numpy", "pandas", "torch", "torchvision", "scikit-learn", "matplotlib"],
    r"AzureML-XGBoost(?:-.+)?": ["numpy", "pandas", "xgboost", "scikit-learn"],
    r"AzureML-LightGBM(?:-.+)?": ["numpy", "pandas", "lightgbm", "scikit-learn"],
    r"AzureML-Dask(?:-.+)?": ["numpy", "pandas", "dask", "distributed"],
    r"AzureML-Designer(?:-.+)?": ["numpy", "pandas", "scikit-learn", "joblib", "pyarrow"],
    r"AzureML-AutoML(?:-.+)?": ["numpy", "pandas", "scikit-learn", "lightgbm", "xgboost"],
}  # fmt: skip

# The names that v1 listed in 08/2020 and that have a family above; Environment.list shows these.
LISTED = (
    "AzureML-Minimal",
    "AzureML-Tutorial",
    "AzureML-Scikit-learn-0.20.3",
    "AzureML-TensorFlow-1.15-CPU",
    "AzureML-TensorFlow-2.2-CPU",
    "AzureML-PyTorch-1.6-CPU",
    "AzureML-Dask-CPU",
    "AzureML-AutoML",
)


def is_reserved(name: str) -> bool:
    """v1 keeps these names for its own."""
    return name.startswith(("AzureML", "Microsoft"))


def find(name: str) -> EnvironmentSpec | None:
    """The curated environment of this name, None when there is none."""
    for pattern, packages in _FAMILIES.items():
        if re.fullmatch(pattern, name, re.IGNORECASE):
            return EnvironmentSpec(
                name=name,
                version=VERSION,
                python=PythonSpec(
                    conda={
                        "name": "project_environment",
                        "channels": ["conda-forge"],
                        "dependencies": [{"pip": [*_COMMON, *packages]}],
                    }
                ),
                recorded={"curated": True, **_notice(name, packages)},
            )
    return None


def _notice(name: str, packages: list[str]) -> dict[str, list[str]]:
    said = re.search(r"-(\d+(?:\.\d+)+)", name)
    if said is None or not packages:
        return {}
    notice = (
        f"{name}: the name says version {said.group(1)}; installed are the newest packages that suit the Python in use. "
        "Name exact versions in an environment of your own if they matter."
    )
    return {"notices": [notice]}
