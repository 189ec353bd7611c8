"""CondaDependencies: which Python and which packages an environment needs, as a conda specification."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from modelyard import errors
from modelyard.wire import requirement_lines as lines
from modelyard.wire.environment_hash import spec_problem
from modelyard.wire.environments import EnvironmentSpec, PythonSpec

PYTHON_DEFAULT_VERSION = "3.8.13"
DEFAULT_FILE = "conda_dependencies.yml"
_DEFAULT_NAME = "project_environment"
_DEFAULT_CHANNELS = ("anaconda", "conda-forge")
_DEFAULT_PIP = "azureml-defaults"
_HEADER = "# Conda specification of an environment; it is built for runs that are not user-managed.\n\n"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./=<>~!+,@%:\[\]*-]*|--?[a-z][a-z-]*(?:[ =][A-Za-z0-9_./:@%+-]+)?")
_NOT_STRINGS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))


class CondaDependencies:
    """A conda specification that can be changed, written and read.

    A new one asks for Python 3.8.13 as v1's does, which nobody chose: it stands for the Python that runs the yard
    until `set_python_version` or a file says otherwise.
    """

    DEFAULT_NUMBER_OF_CONDA_PACKAGES = 1
    DEFAULT_NUMBER_OF_PIP_PACKAGES = 1

    def __init__(
        self,
        conda_dependencies_file_path: Optional[str] = None,
        _underlying_structure: Optional[Dict[str, Any]] = None,
    ) -> None:
        self._name = _DEFAULT_NAME
        self._channels: List[str] = list(_DEFAULT_CHANNELS)
        self._python = ""  # the constraint as written after the name; empty: nobody chose
        self._conda: List[str] = []
        self._pip: List[str] = [_DEFAULT_PIP]
        self._options: List[str] = []
        self.variables: Dict[str, str] = {}
        if conda_dependencies_file_path is not None:
            self._take(_read_file(conda_dependencies_file_path), os.fspath(conda_dependencies_file_path))
        elif _underlying_structure is not None:
            self._take(_underlying_structure, "The conda specification")

    @staticmethod
    def create(
        pip_indexurl: Optional[str] = None,
        pip_packages: Optional[Sequence[str]] = None,
        conda_packages: Optional[Sequence[str]] = None,
        python_version: Optional[str] = PYTHON_DEFAULT_VERSION,
        pin_sdk_version: bool = True,  # the SDK in a run is always the yard's own
    ) -> CondaDependencies:
        """One from lists of packages. `azureml-defaults` is there unless another azureml package is named."""
        made = CondaDependencies()
        if python_version and str(python_version) != PYTHON_DEFAULT_VERSION:
            made.set_python_version(str(python_version))
        for package in _strings("conda_packages", conda_packages):
            made.add_conda_package(package)
        for package in _strings("pip_packages", pip_packages):
            made.add_pip_package(package)
        named = [lines.parse_requirement(p).name for p in made._pip]
        brings_its_own = any(name.startswith("azureml-") and name != _DEFAULT_PIP for name in named)
        if brings_its_own and _DEFAULT_PIP not in (pip_packages or ()):
            made._pip.remove(_DEFAULT_PIP)
        if pip_indexurl:
            made.set_pip_index_url(pip_indexurl)
        return made

    def _take(self, content: Any, where: str) -> None:
        """Replace everything by a parsed specification. Raises UserErrorException naming what does not fit."""
        if not isinstance(content, dict):
            raise errors.UserErrorException(
                f"{where}: a conda specification is a mapping, not {content!r:.60}."
            )
        problem = spec_problem(EnvironmentSpec(python=PythonSpec(conda=content)))
        if problem:
            raise errors.UserErrorException(f"{where}: {problem}")
        self._name = str(content.get("name") or _DEFAULT_NAME)
        self._channels = list(content.get("channels") or [])
        self._python, self._conda, self._pip, self._options = "", [], [], []
        self.variables = {str(k): str(v) for k, v in (content.get("variables") or {}).items()}
        for dependency in content.get("dependencies") or []:
            if isinstance(dependency, dict):
                for line in dependency["pip"] or []:
                    (self._options if lines.is_option(line) else self._pip).append(line.strip())
            elif lines.parse_conda(dependency).name == "python":
                self._python = lines.parse_conda(dependency).rest
            else:
                self._conda.append(dependency.strip())

    # What it holds

    @property
    def conda_channels(self) -> Iterator[str]:
        return iter(list(self._channels))

    @property
    def conda_packages(self) -> Iterator[str]:
        return iter([self._python_line(), *self._conda])

    @property
    def pip_packages(self) -> Iterator[str]:
        return iter(list(self._pip))

    @property
    def pip_options(self) -> Iterator[str]:
        return iter(list(self._options))

    def get_default_number_of_packages(self) -> int:
        return self.DEFAULT_NUMBER_OF_CONDA_PACKAGES + self.DEFAULT_NUMBER_OF_PIP_PACKAGES

    def get_python_version(self) -> Optional[str]:
        return self._python.lstrip("= ") or PYTHON_DEFAULT_VERSION

    def _python_line(self) -> str:
        return "python" + (self._python or "=" + PYTHON_DEFAULT_VERSION)

    # Changing it

    def set_python_version(self, version: str) -> None:
        text = str(version).strip()
        constraint = text if text[:1] in ("=", "<", ">", "!", "~") else "=" + text
        self._check("Conda dependency", "python" + constraint, lines.conda_problem)
        problem = spec_problem(
            EnvironmentSpec(python=PythonSpec(conda={"dependencies": ["python" + constraint]}))
        )
        if problem or not text:
            raise errors.UserErrorException(problem or "A version of Python looks like '3.8'.")
        self._python = constraint

    def add_channel(self, channel: str) -> None:
        problem = spec_problem(EnvironmentSpec(python=PythonSpec(conda={"channels": [channel]})))
        if problem:
            raise errors.UserErrorException(problem)
        if channel not in self._channels:
            self._channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        self._channels = [c for c in self._channels if c != channel]

    def add_conda_package(self, conda_package: str) -> None:
        """Add or, if a package of that name is there, replace."""
        self._check("Conda dependency", conda_package, lines.conda_problem)
        parsed = lines.parse_conda(conda_package)
        if parsed.name == "python":
            self.set_python_version(parsed.rest)
            return
        self._conda = [c for c in self._conda if lines.parse_conda(c).name != parsed.name]
        self._conda.append(conda_package.strip())

    def remove_conda_package(self, conda_package: str) -> None:
        """By name, whatever its version."""
        self._check("Conda dependency", conda_package, lines.conda_problem)
        name = lines.parse_conda(conda_package).name
        self._conda = [c for c in self._conda if lines.parse_conda(c).name != name]

    def add_pip_package(self, pip_package: str) -> None:
        """Add or, if a package of that name is there, replace."""
        self._check("Requirement", pip_package, lines.requirement_problem)
        self._pip = [p for p in self._pip if not _same_package(p, pip_package)]
        self._pip.append(pip_package.strip())

    def remove_pip_package(self, pip_package: str) -> None:
        """By name, whatever its version."""
        self._check("Requirement", pip_package, lines.requirement_problem)
        self._pip = [p for p in self._pip if not _same_package(p, pip_package)]

    def set_pip_option(self, pip_option: str) -> None:
        """Such as `--extra-index-url URL` or `--pre`; the same option with the same value is kept once."""
        self._check("Pip option", pip_option, lines.option_problem)
        option = pip_option.strip()
        if option not in self._options:
            self._options.append(option)

    def remove_pip_option(self, pip_option: str) -> None:
        """With its value, or the bare option to remove all of that name."""
        text = pip_option.strip()
        self._options = [o for o in self._options if text not in (o, lines.split_option(o)[0])]

    def set_pip_index_url(self, index_url: str) -> None:
        self._options = [o for o in self._options if lines.split_option(o)[0] not in ("-i", "--index-url")]
        self.set_pip_option("--index-url " + index_url)

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """Replace the pip packages."""
        wanted = _strings("pip_requirements", pip_requirements)
        for package in wanted:
            self._check("Requirement", package, lines.requirement_problem)
        self._pip = [package.strip() for package in wanted]

    def add_tensorflow_pip_package(self, core_type: str = "cpu", version: Optional[str] = None) -> None:
        name = "tensorflow-gpu" if _is_gpu(core_type) else "tensorflow"
        self.add_pip_package(f"{name}=={version}" if version else name)

    def add_tensorflow_conda_package(self, core_type: str = "cpu", version: Optional[str] = None) -> None:
        name = "tensorflow-gpu" if _is_gpu(core_type) else "tensorflow"
        self.add_conda_package(f"{name}={version}" if version else name)

    def add_cntk_package(self, core_type: str = "cpu") -> None:
        self.add_pip_package("cntk-gpu" if _is_gpu(core_type) else "cntk")

    @staticmethod
    def merge_requirements(requirements: Iterable[str]) -> List[str]:
        """Requirements of one package as one: `['a>=1', 'a<2']` is `['a<2,>=1']`."""
        merged: Dict[Tuple[str, str], List[str]] = {}
        for line in requirements:
            CondaDependencies._check("Requirement", line, lines.requirement_problem)
            head, _, marker = lines.normal_requirement(line).partition(";")
            match = re.match(r"[A-Za-z0-9-]+(?:\[[^\]]*\])?", head)
            name = match.group(0) if match else head
            clauses = merged.setdefault((name, marker.strip()), [])
            clauses += [c for c in head[len(name) :].strip().split(",") if c and c not in clauses]
        return [n + ",".join(sorted(c)) + ("; " + m if m else "") for (n, m), c in merged.items()]

    @staticmethod
    def sdk_origin_url() -> str:
        """The index this machine takes packages from, empty when it has none of its own."""
        return os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or ""

    # Writing it

    def as_dict(self) -> Dict[str, Any]:
        """The specification as it is in a file."""
        return self._content(self._python_line())

    def to_wire(self) -> Dict[str, Any]:
        """As `as_dict`, without a Python that nobody chose."""
        return self._content("python" + self._python if self._python else "")

    def _content(self, python: str) -> Dict[str, Any]:
        dependencies: List[Any] = [python] if python else []
        if self._pip or self._options:
            dependencies.append({"pip": self._options + self._pip})
        content: Dict[str, Any] = {"name": self._name, "dependencies": dependencies + self._conda}
        if self._channels:
            content["channels"] = list(self._channels)
        if self.variables:
            content["variables"] = dict(self.variables)
        return content

    def serialize_to_string(self) -> str:
        """The specification as YAML. Needs no YAML library."""
        content = self.as_dict()
        text = [_HEADER, f"name: {_scalar(content['name'])}\n", "dependencies:\n"]
        for dependency in content["dependencies"]:
            if isinstance(dependency, dict):
                text.append("- pip:\n")
                text += [f"  - {_scalar(line)}\n" for line in dependency["pip"]]
            else:
                text.append(f"- {_scalar(dependency)}\n")
        if self._channels:
            text.append("channels:\n")
            text += [f"- {_scalar(channel)}\n" for channel in self._channels]
        if self.variables:
            text.append("variables:\n")
            text += [f"  {_scalar(k)}: {json.dumps(v)}\n" for k, v in self.variables.items()]
        return "".join(text)

    def save_to_file(self, base_directory: str, conda_file_path: Optional[str] = None) -> str:
        """Write the YAML file below `base_directory`; answers the name it was given there."""
        name = conda_file_path or DEFAULT_FILE
        self.save(os.path.join(base_directory, name))
        return name

    def save(self, path: Optional[str] = None) -> str:
        """Write the YAML file: `path`, or conda_dependencies.yml in it if it is a directory. Answers where."""
        target = path or DEFAULT_FILE
        if os.path.isdir(target):
            target = os.path.join(target, DEFAULT_FILE)
        folder = os.path.dirname(target)
        if folder:
            os.makedirs(folder, exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(self.serialize_to_string())
        return target

    @staticmethod
    def _check(kind: str, line: Any, problem_of: Any) -> None:
        problem = lines.first_problem(kind, [line], problem_of)
        if problem:
            raise errors.UserErrorException(problem)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CondaDependencies) and self.to_wire() == other.to_wire()

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self) -> str:
        return json.dumps(self.as_dict(), indent=4)


def _strings(what: str, given: Optional[Iterable[str]]) -> List[str]:
    if isinstance(given, str):
        raise errors.UserErrorException(
            f"{what} is a list of packages, not the text {given!r}. Write [{given!r}]."
        )
    return list(given or [])


def _same_package(one: str, other: str) -> bool:
    first, second = lines.parse_requirement(one), lines.parse_requirement(other)
    return first.name == second.name if first.name else first.text == second.text


def _is_gpu(core_type: str) -> bool:
    if str(core_type).lower() not in ("cpu", "gpu"):
        raise errors.UserErrorException(f"core_type is 'cpu' or 'gpu', not {core_type!r}.")
    return str(core_type).lower() == "gpu"


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_STRINGS and not text.endswith(":"):
        return text
    return json.dumps(text, ensure_ascii=False)


def _read_file(path: str) -> Any:
    try:
        import yaml  # only where a person's YAML file is read; not needed inside a run
    except ImportError:
        raise errors.UserErrorException(
            f"{path} is YAML, and PyYAML is not installed here. Install it: python -m pip install pyyaml"
        ) from None
    try:
        with open(path, encoding="utf-8-sig") as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise errors.UserErrorException(f"{path} can't be read: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise errors.UserErrorException(
            f"{path} is not valid YAML: {' '.join(str(error).split())}"
        ) from error
    return {} if content is None else content
