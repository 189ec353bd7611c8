"""Run configurations in memory and as v1's YAML files."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard import (
    CondaDependencies,
    Environment,
    MpiConfiguration,
    RunConfiguration,
    ScriptRunConfig,
    errors,
)

_words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20
)


@st.composite
def configurations(draw: st.DrawFn) -> RunConfiguration:
    made = RunConfiguration(
        script=draw(st.none() | _words),
        arguments=draw(st.lists(_words, max_size=3)),
        framework=draw(st.sampled_from(["Python", "PySpark", "R"])),
        communicator=draw(st.sampled_from(["None", "OpenMpi"])),
    )
    made.target = draw(_words)
    made.node_count = draw(st.integers(1, 9))
    made.max_run_duration_seconds = draw(st.none() | st.integers(1, 10**6))
    made.environment_variables = draw(st.dictionaries(_words, _words, max_size=2))
    made.mpi = MpiConfiguration(draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    made.data_references = draw(
        st.dictionaries(_words, st.dictionaries(_words, _words, max_size=2), max_size=2)
    )
    made._more = draw(st.dictionaries(_words.map("x-{}".format), _words, max_size=2))
    if draw(st.booleans()):
        made.environment = Environment("e")
        made.environment.environment_variables = draw(st.dictionaries(_words, _words, max_size=2))
        made.environment.python.user_managed_dependencies = draw(st.booleans())
        made.environment.python.conda_dependencies = CondaDependencies.create(
            pip_packages=draw(st.lists(st.sampled_from(["numpy==1.2", "pandas"]), unique=True)),
            conda_packages=draw(st.lists(st.sampled_from(["scikit-learn", "scipy=1.1"]), unique=True)),
        )
    return made


@settings(max_examples=25)
@given(configurations())
def test_a_configuration_reads_back_as_it_was_saved(made: RunConfiguration) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made.save(folder, "one")
        loaded = RunConfiguration.load(folder, "one")
        assert loaded.to_yaml() == made.to_yaml()
        loaded.save(folder, "two", separate_environment_yaml=True)
        assert RunConfiguration.load(folder, "two") == made


def test_the_file_has_v1s_keys(tmp_path: Path) -> None:
    made = RunConfiguration()
    made.environment = Environment("e")
    made.save(str(tmp_path), "local")
    values = yaml.safe_load((tmp_path / ".azureml" / "local.runconfig").read_text())
    assert list(values) == [
        "script", "arguments", "target", "framework", "communicator", "maxRunDurationSeconds", "nodeCount", "priority",
        "environment", "history", "spark", "docker", "hdi", "tensorflow", "mpi", "pytorch", "paralleltask", "amlcompute",
        "dataReferences", "data", "outputData", "sourceDirectoryDataStore", "command", "environmentVariables",
    ]  # fmt: skip
    assert set(values["environment"]["python"]) == {
        "userManagedDependencies", "interpreterPath", "condaDependenciesFile", "baseCondaEnvironment",
    }  # fmt: skip
    assert (tmp_path / values["environment"]["python"]["condaDependenciesFile"]).is_file()
    assert values["history"] == {
        "outputCollection": True,
        "snapshotProject": True,
        "directoriesToWatch": ["logs"],
    }
    assert values["mpi"] == {"processCountPerNode": 1, "nodeCount": 1}


def test_a_file_of_v1_is_read(tmp_path: Path) -> None:
    (tmp_path / ".azureml").mkdir()
    (tmp_path / ".azureml" / "conda_dependencies.yml").write_text(
        "dependencies:\n- python=3.7\n- pip:\n  - numpy\n"
    )
    (tmp_path / ".azureml" / "sklearn.runconfig").write_text(
        "script: train.py\narguments: [--alpha, '0.5']\ntarget: cpu-cluster\n"
        "environment:\n  name: e\n  python:\n    userManagedDependencies: false\n    interpreterPath: python\n"
        "    condaDependenciesFile: .azureml/conda_dependencies.yml\n  docker:\n    enabled: true\n    baseImage: x/y:1\n"
        "history:\n  outputCollection: true\nunknownKey: 3\n"
    )
    made = RunConfiguration.load(str(tmp_path), "sklearn")
    assert (made.script, made.arguments, made.target) == ("train.py", ["--alpha", "0.5"], "cpu-cluster")
    assert list(made.environment.python.conda_dependencies.pip_packages) == ["numpy"]
    assert made.environment.docker.base_image == "x/y:1"
    assert made.to_yaml()["unknownKey"] == 3
    assert RunConfiguration.load(str(tmp_path / ".azureml" / "sklearn.runconfig")) == made
    RunConfiguration.delete(str(tmp_path), "sklearn")
    with pytest.raises(errors.RunConfigurationException, match="sklearn"):
        RunConfiguration.load(str(tmp_path), "sklearn")


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "environment: 3"])
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.runconfig"
    file.write_text(text)
    with pytest.raises(errors.RunConfigurationException):
        RunConfiguration.load(str(file))


def test_an_untouched_environment_stays_unset() -> None:
    made = RunConfiguration()
    assert made.to_yaml()["environment"] is None
    made.environment.python.user_managed_dependencies = True
    assert made.to_yaml()["environment"]["python"]["userManagedDependencies"] is True


@pytest.mark.parametrize(
    ("name", "value"), [("target", 3), ("target", ""), ("environment", "AzureML-Minimal")]
)
def test_values_that_do_not_fit_are_refused(name: str, value: Any) -> None:
    with pytest.raises(errors.RunConfigurationException):
        setattr(RunConfiguration(), name, value)


def test_two_script_configurations_of_one_run_configuration_do_not_change_each_other() -> None:
    shared = RunConfiguration()
    first, second = (ScriptRunConfig(".", script="a.py", run_config=shared) for _ in range(2))
    first.run_config.target = "other"
    assert (second.run_config.target, shared.target) == ("local", "local")


def test_script_configurations_that_contradict_themselves_are_refused() -> None:
    for wrong in (
        {"script": "a.py", "command": "python a.py"},
        {"command": "python a.py", "arguments": [1]},
        {"script": "a.py", "run_config": RunConfiguration(), "compute_target": "local"},
        {"script": "a.py", "distributed_job_config": "mpi"},
        {"script": "a.py", "arguments": "--alpha 0.5"},
    ):
        with pytest.raises(errors.RunConfigurationException):
            ScriptRunConfig(".", **wrong)
    made = ScriptRunConfig(".", script="a.py", distributed_job_config=MpiConfiguration(2))
    assert (made.run_config.communicator, made.run_config.mpi.process_count_per_node) == ("OpenMpi", 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scriptt: train.py\n", "no key 'scriptt'. Did you mean 'script'"),
        ("script: train.py\nnode_count: 2\n", "no key 'node_count'. Did you mean 'nodeCount'"),
    ],
)
def test_a_misspelt_key_is_answered_with_the_right_one(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.runconfig").write_text(text)
    with pytest.raises(errors.RunConfigurationException, match=re.escape(said)):
        RunConfiguration.load(str(tmp_path / "a.runconfig"))
