"""inferenceconfig.json and deploymentconfig.json."""

from __future__ import annotations

import json

import pytest

from modelyard.endpoints import config_files
from modelyard.errors import UserErrorException


@pytest.fixture
def write(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "score.py").write_text("def init(): pass\ndef run(data): pass\n")

    def write(value, name="config.json"):
        file = tmp_path / name
        file.write_text(value if isinstance(value, str) else json.dumps(value))
        return str(file)

    return write


def test_paths_begin_at_the_directory_of_the_file(write, tmp_path):
    config = config_files.read_inference_config(write({"entryScript": "score.py", "sourceDirectory": "src"}))
    assert config.directory() == str(tmp_path / "src")


def test_an_aks_file_of_v1_is_understood(write):
    config = config_files.read_deployment_config(
        write(
            {
                "computeType": "aks",
                "containerResourceRequirements": {"cpu": 0.5, "memoryInGB": 1.0, "gpu": None},
                "autoScaler": {"autoscaleEnabled": True, "minReplicas": 2, "maxReplicas": 4},
                "authEnabled": True, "scoringTimeoutMs": 5000, "appInsightsEnabled": False,
                "maxConcurrentRequestsPerContainer": 1, "livenessProbeRequirements": None, "namespace": None,
                "sslEnabled": True,
            }
        )
    )  # fmt: skip
    assert (config.compute_type, config.replicas, config.cpu_cores) == ("AKS", 2, 0.5)
    assert config.scoring_timeout_s == 5.0


def test_yaml_is_read_too(write):
    config = config_files.read_deployment_config(write("computeType: LOCAL\nport: 6789\n", "dc.yml"))
    assert config.port == 6789


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{", "not valid JSON"),
        ("[]", "must hold an object"),
        ({"computeType": "moon"}, "computeType must be one of local, aci and aks"),
        ({}, "computeType"),
        ({"computeType": "aci", "cpuCores": 1}, "unknown key 'cpuCores'"),
        (
            {"computeType": "aci", "containerResourceRequirements": {"cpus": 1}},
            "containerResourceRequirements.cpus",
        ),
        ({"computeType": "aci", "authEnabled": "yes"}, "authEnabled must be true or false"),
        ({"computeType": "local", "port": True}, "port must be a whole number"),
        ({"computeType": "aks", "numReplicas": 0}, "num_replicas"),
    ],
)
def test_a_bad_deployment_file_is_refused_naming_file_and_key(write, value, said):
    file = write(value)
    with pytest.raises(UserErrorException, match=said) as refused:
        config_files.read_deployment_config(file)
    assert file in refused.value.message


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"sourceDirectory": "src"}, "entryScript is missing"),
        ({"entryScript": "gone.py", "sourceDirectory": "src"}, "which holds: score.py"),
        ({"entryScript": "score.py", "source": "src"}, "unknown key 'source'"),
    ],
)
def test_a_bad_inference_file_is_refused_naming_file_and_key(write, value, said):
    file = write(value)
    with pytest.raises(UserErrorException, match=said) as refused:
        config_files.read_inference_config(file)
    assert file in refused.value.message


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UserErrorException, match="can't be read"):
        config_files.read_deployment_config(str(tmp_path / "gone.json"))


def test_an_environment_may_be_written_out(write):
    environment = {
        "name": "e",
        "python": {"condaDependencies": {"dependencies": ["python=3.11", {"pip": ["joblib"]}]}},
    }
    config = config_files.read_inference_config(
        write({"entryScript": "score.py", "sourceDirectory": "src", "environment": environment})
    )
    assert "joblib" in str(config.environment_spec())


def test_an_environment_that_is_none_is_refused_naming_the_file(write):
    file = write({"entryScript": "score.py", "sourceDirectory": "src", "environment": {"python": ["x"]}})
    with pytest.raises(UserErrorException, match="environment") as refused:
        config_files.read_inference_config(file)
    assert file in refused.value.message
