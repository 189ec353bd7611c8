from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelyard import Environment
from modelyard.conda_dependencies import CondaDependencies
from modelyard.environments import resolve_interpreter
from modelyard.errors import NotFound, NotYetAvailable, UserErrorException
from modelyard.wire.environments import EnvironmentSpec, PythonSpec


@pytest.fixture
def workspace(server: Any) -> Any:
    from modelyard import Workspace
    from modelyard._client import Client

    return Workspace(workspace_name="default", _client=Client(server.url, server.owner_token, patience_s=0))


def _example() -> Environment:
    made = Environment("mine")
    made.python.conda_dependencies = CondaDependencies.create(
        conda_packages=["numpy=1.18"], pip_packages=["six"], python_version="3.7"
    )
    made.environment_variables = {"A": "b"}
    made.docker.base_image = "mcr/x:1"
    made.docker.arguments = ["--ipc", "host"]
    made.spark.precache_packages = False
    made.inferencing_stack_version = "latest"
    return made


def test_an_environment_survives_the_wire_and_a_directory(tmp_path: Path) -> None:
    made = _example()
    assert Environment.from_spec(made.to_spec()).to_spec() == made.to_spec()
    made.save_to_directory(str(tmp_path / "e"))
    assert Environment.load_from_directory(str(tmp_path / "e")).to_spec() == made.to_spec()
    with pytest.raises(UserErrorException, match="overwrite"):
        made.save_to_directory(str(tmp_path / "e"))
    made.save_to_directory(str(tmp_path / "e"), overwrite=True)
    with pytest.raises(UserErrorException, match="can't be read"):
        Environment.load_from_directory(str(tmp_path / "none"))


def test_an_edited_conda_file_of_a_directory_counts(tmp_path: Path) -> None:
    _example().save_to_directory(str(tmp_path))
    file = tmp_path / "conda_dependencies.yml"
    file.write_text(file.read_text().replace("numpy=1.18", "numpy=1.19"))
    assert (
        "numpy=1.19"
        in Environment.load_from_directory(str(tmp_path)).python.conda_dependencies.conda_packages
    )


def test_the_repr_is_v1s_json() -> None:
    shown = json.loads(repr(_example()))
    assert shown["name"] == "mine"
    assert shown["python"]["userManagedDependencies"] is False
    assert shown["python"]["condaDependencies"]["dependencies"][0] == "python=3.7"
    assert shown["docker"]["baseImage"] == "mcr/x:1"


def test_a_misspelt_attribute_is_refused() -> None:
    with pytest.raises(AttributeError, match="user_managed_dependencies"):
        Environment("x").python.user_manged_dependencies = True
    with pytest.raises(AttributeError):
        Environment("x").pyton = None


def test_a_clone_has_a_life_of_its_own() -> None:
    one = _example()
    one.version = "3"
    two = one.clone("yours")
    two.python.conda_dependencies.add_pip_package("pytz")
    assert (two.name, two.version) == ("yours", None)
    assert "pytz" not in one.python.conda_dependencies.pip_packages


def test_registering_gives_versions_and_get_finds_them(workspace: Any) -> None:
    made = _example()
    assert made.register(workspace).version == "1"
    assert made.register(workspace).version == "1"
    one = Environment.get(workspace, "mine")
    assert one.to_spec().python == made.to_spec().python
    one.python.conda_dependencies.add_pip_package("pytz")
    assert one.register(workspace).version == "2"
    first = Environment.get(workspace, "mine", version="1")
    assert first.register(workspace).version == "1"
    listed = Environment.list(workspace)
    assert listed["mine"].version == "2"
    assert "AzureML-Minimal" in listed
    with pytest.raises(NotFound, match="It has 1, 2"):
        Environment.get(workspace, "mine", version="9")
    assert first.get_image_details(workspace).image_exist is False


def test_one_that_came_from_plain_requirements_can_be_registered_again(workspace: Any) -> None:
    spec = EnvironmentSpec(
        name="plain", python=PythonSpec(requirements=["six"], python_version="3.8", pip_options=["--pre"])
    )
    workspace._client.request("POST", workspace._path("environments"), body=spec)
    got = Environment.get(workspace, "plain")
    assert got.get_content_hash() == Environment.from_spec(spec).get_content_hash()
    assert got.register(workspace).version == "1"


def test_a_name_alone_stays_a_name() -> None:
    assert Environment.from_spec(EnvironmentSpec(name="mine", version="2")).to_spec() == EnvironmentSpec(
        name="mine", version="2"
    )
    assert Environment.from_spec(EnvironmentSpec()).to_spec().python.user_managed


def test_a_requirements_file_is_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# first\n--extra-index-url https://x/y\nnumpy>=1.2, \\\n   <2  # why\n\nsix\n")
    made = Environment.from_pip_requirements("r", str(file))
    assert list(made.python.conda_dependencies.pip_packages) == ["numpy>=1.2, <2", "six"]
    assert list(made.python.conda_dependencies.pip_options) == ["--extra-index-url https://x/y"]
    for line, word in (
        ("numpy=1", "=="),
        ("-r more.txt", "more.txt can't be read"),
        ("-c pins.txt", "another file"),
        ("six --index-url x", "option"),
        ("-e .", "editable"),
    ):
        file.write_text(f"six\n\n{line}\n")
        with pytest.raises(UserErrorException, match=word) as caught:
            Environment.from_pip_requirements("r", str(file))
        assert f"{file}:3: " in str(caught.value)


def test_a_requirements_file_includes_others_from_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("--pre\n-rdeeper.txt\nsix\n")
    (tmp_path / "more" / "deeper.txt").write_text("toolz\n")
    file.write_text("-r more/base.txt\n--requirement=more/deeper.txt\nnumpy\n")
    made = Environment.from_pip_requirements("r", str(file)).python.conda_dependencies
    assert list(made.pip_packages) == ["toolz", "six", "toolz", "numpy"]
    assert list(made.pip_options) == ["--pre"]
    (tmp_path / "more" / "deeper.txt").write_text("toolz\n-r ../requirements.txt\n")
    with pytest.raises(UserErrorException, match=r"deeper.txt:2: .* includes itself"):
        Environment.from_pip_requirements("r", str(file))


def test_docker_is_recorded_and_packages_beside_it_are_used(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    (tmp_path / "r.txt").write_text("six\n")
    made = Environment.from_dockerfile(
        "d", str(tmp_path / "Dockerfile"), pip_requirements=str(tmp_path / "r.txt")
    )
    assert made.to_spec().docker["baseDockerfile"] == "FROM x\n"
    image = Environment.from_docker_image("d", "mcr/x:1")
    image.docker.base_image_registry.password = "secret"
    assert image.python.user_managed_dependencies
    assert "secret" not in repr(image.to_spec())


def test_what_is_not_there_says_what_works_instead() -> None:
    with pytest.raises(NotYetAvailable, match="interpreter_path"):
        Environment.from_existing_conda_environment("x", "base")
    with pytest.raises(NotYetAvailable, match="versions"):
        Environment.label(None, "x", "1", ["prod"])


def test_the_python_that_submits_is_found_at_submit(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Environment("um")
    made.python.user_managed_dependencies = True
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    found = resolve_interpreter(made.to_spec()).python.interpreter_path
    assert os.path.isabs(found)
    made.python.interpreter_path = "/of/another/machine/python"
    assert resolve_interpreter(made.to_spec()).python.interpreter_path == "/of/another/machine/python"
    made.python.interpreter_path = "python9.9"
    with pytest.raises(UserErrorException, match="PATH"):
        resolve_interpreter(made.to_spec())
    assert resolve_interpreter(_example().to_spec()) == _example().to_spec()


def test_the_activated_python_goes_before_the_one_that_runs_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin") + os.pathsep + os.environ["PATH"])
    spec = EnvironmentSpec(python=PythonSpec(user_managed=True))
    assert resolve_interpreter(spec).python.interpreter_path == str(tmp_path / "bin" / "python")


_OLD = """
import sys
from modelyard import CondaDependencies, Environment
from modelyard.wire import codec
from modelyard.wire.environments import EnvironmentSpec
made = Environment("x")
made.python.conda_dependencies = CondaDependencies.create(pip_packages=["six>=1"], python_version="3.7")
spec = codec.loads(EnvironmentSpec, codec.dumps(made.to_spec()))
assert Environment.from_spec(spec).to_spec() == spec, spec
assert "six>=1" in made.python.conda_dependencies.serialize_to_string()
assert "yaml" not in sys.modules
print(made.get_content_hash())
"""


def test_it_all_works_on_python_3_7_without_yaml() -> None:
    from modelyard.node.environments.interpreters import installed

    old = [i.path for i in installed() if i.version[:2] == (3, 7)]
    if not old:
        pytest.skip("no Python 3.7 on this machine")
    source = str(Path(__file__).parents[2] / "src")
    environ = {**os.environ, "PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1"}
    hashes = {
        subprocess.run([python, "-c", _OLD], env=environ, capture_output=True, text=True, check=True).stdout
        for python in (old[0], sys.executable)
    }
    assert len(hashes) == 1
