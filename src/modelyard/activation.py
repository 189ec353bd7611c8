"""The variables that a process with a Python of its own starts from, as after an activation by hand."""

from __future__ import annotations

import os
from typing import Dict, Mapping

# About the Python that starts it; and a yard's home and token are nothing that a user's code should find.
_NOT_PASSED = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "PYTHONDONTWRITEBYTECODE",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "__PYVENV_LAUNCHER__",
)
_NOT_PASSED_PREFIXES = ("MODELYARD_", "AZUREML_")


def activated(interpreter: str, base: Mapping[str, str]) -> Dict[str, str]:
    """This machine's variables (`base`) with the programs of the interpreter's environment first on PATH, and the name
    of that environment as venv's and conda's activation give it. What conda packages' own activation scripts would do
    besides is left out."""
    variables = {
        name: value
        for name, value in base.items()
        if name not in _NOT_PASSED and not name.startswith(_NOT_PASSED_PREFIXES)
    }
    variables.setdefault("PYTHONIOENCODING", "utf-8")
    programs = os.path.dirname(interpreter)
    home = os.path.dirname(programs)
    variables["PATH"] = os.pathsep.join([programs, variables.get("PATH") or os.defpath])
    for name, sign in (("VIRTUAL_ENV", "pyvenv.cfg"), ("CONDA_PREFIX", "conda-meta")):
        if os.path.exists(os.path.join(home, sign)):
            variables[name] = home
    return variables
