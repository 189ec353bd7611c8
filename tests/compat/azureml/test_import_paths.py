"""Every module and name of SDK v1's public interface can be imported; what is not there yet says so when used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.node.environments.interpreters import installed

ROOT = Path(__file__).parents[3]


def in_a_script(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'azureml'}", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_of_v1_imports_and_every_name_is_there_or_says_it_is_not_yet() -> None:
    out = in_a_script(
        "import importlib\n"
        "import azureml\n"
        "from azureml._catalogue import NAMES\n"
        "count = 0\n"
        "for module, names in NAMES.items():\n"
        "    loaded = importlib.import_module(module)\n"
        "    for name in names:\n"
        "        try:\n"
        "            getattr(loaded, name)\n"
        "        except NotImplementedError as error:\n"
        "            assert 'Nearest thing that works' in str(error), error\n"
        "        count += 1\n"
        "print(count)\n"
    )
    assert int(out) > 800


def test_a_script_may_import_what_it_never_uses() -> None:
    in_a_script(
        "from azureml.core import Workspace, Dataset, Datastore\nfrom azureml.pipeline.core import Pipeline"
    )


def test_using_a_name_that_is_not_there_yet_names_the_nearest_thing() -> None:
    out = in_a_script(
        "from azureml.train.hyperdrive import HyperDriveConfig\n"
        "try:\n"
        "    HyperDriveConfig(hyperparameter_sampling=None)\n"
        "except NotImplementedError as error:\n"
        "    print(error)\n"
    )
    assert "azureml.train.hyperdrive" in out
    assert "submit_child" in out


def test_a_misspelt_name_is_still_an_import_error() -> None:
    out = in_a_script(
        "try:\n    from azureml.core import Worksapce\nexcept ImportError as error:\n    print('ImportError')"
    )
    assert out.strip() == "ImportError"


def test_exceptions_can_stand_in_except_clauses() -> None:
    in_a_script(
        "from azureml.core.compute_target import ComputeTargetException\n"
        "from azureml.train.hyperdrive.exceptions import HyperDriveException\n"
        "try:\n    raise KeyError\nexcept (ComputeTargetException, HyperDriveException):\n    assert False\nexcept KeyError:\n    pass\n"
    )


def test_isinstance_with_a_name_that_is_not_there_yet_is_false() -> None:
    in_a_script("from azureml.train.automl.run import AutoMLRun\nassert not isinstance(object(), AutoMLRun)")


def test_modules_that_only_a_runtime_or_preview_of_v1_had_import_too() -> None:
    in_a_script(
        "from azureml._restclient.jasmine_client import JasmineClient\n"
        "from azureml.automl.runtime.shared.score import constants, scoring\n"
        "from azureml.automl.dnn.vision.common.model_export_utils import load_model\n"
        "from azureml.interpret.scoring.scoring_explainer import TreeScoringExplainer, save\n"
        "import azureml.train.automl.runtime._hts.hts_parameters\n"
    )


def test_a_misspelt_module_of_a_package_that_is_known_whole_is_an_import_error() -> None:
    out = in_a_script(
        "try:\n    import azureml.pipeline.croe\nexcept ImportError as error:\n    print('ImportError')"
    )
    assert out.strip() == "ImportError"


def test_a_cluster_for_web_services_names_the_way_to_deploy_without_one() -> None:
    out = in_a_script(
        "from azureml.core.compute import AksCompute\n"
        "try:\n    AksCompute.provisioning_configuration()\n"
        "except NotImplementedError as error:\n    print(error)\n"
    )
    assert "AksWebservice.deploy_configuration()" in out


def test_the_datastore_is_one_thing_under_all_its_paths() -> None:
    in_a_script(
        "import azureml.core, modelyard\n"
        "from azureml.core.datastore import Datastore\n"
        "from azureml.data import AzureBlobDatastore\n"
        "from azureml.data.azure_storage_datastore import AzureBlobDatastore as by_module\n"
        "from azureml.data.datapath import DataPath\n"
        "assert azureml.core.Datastore is Datastore is modelyard.Datastore\n"
        "assert AzureBlobDatastore is by_module\n"
    )


@pytest.mark.parametrize("module", ["azureml.core", "modelyard"])
def test_a_python_that_is_too_old_is_told_so(module: str) -> None:
    old = next((one for one in installed() if one.version < (3, 7)), None)
    if old is None:
        pytest.skip("every Python of this machine is new enough")
    done = subprocess.run(
        [old.path, "-c", f"import {module}"],
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'azureml'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError")
    assert "needs Python 3.7 or newer" in done.stderr
