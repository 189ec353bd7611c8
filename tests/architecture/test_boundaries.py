"""What import-linter can't say: tables are private, the server never unpickles, archives have one extractor."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "modelyard"


def modules(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders or ("",):
        for file in sorted((SOURCE / folder).rglob("*.py")):
            yield file, ast.parse(file.read_text("utf-8"))


def test_tables_are_private_to_their_slice() -> None:
    graph = grimp.build_graph("modelyard", cache_dir=None)
    slices = graph.find_children("modelyard.server")
    offenders = [
        f"{importer} -> {s}.tables"
        for s in slices
        if f"{s}.tables" in graph.modules
        for importer in graph.find_modules_that_directly_import(f"{s}.tables")
        if not importer.startswith(f"{s}.") and importer != "modelyard.server.migrations.schema"
    ]
    assert offenders == []


def test_no_module_is_longer_than_600_lines() -> None:
    long = {
        str(f.relative_to(ROOT)): n
        for f, _ in modules()
        if (n := len(f.read_text("utf-8").splitlines())) > 600
    }
    assert long == {}


def _calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize(
    "forbidden", ["pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"]
)
def test_the_server_and_the_node_never_unpickle(forbidden: str) -> None:
    for file, tree in modules("server", "node", "cli"):
        for node in ast.walk(tree):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not any(n.split(".")[0] == forbidden for n in names), f"{file} imports {forbidden}"


def test_nothing_runs_a_shell_string() -> None:
    for file, tree in modules():
        for name, call in _calls(tree):
            assert name not in ("os.system", "os.popen"), f"{file}: {name}"
            shell = next((k.value for k in call.keywords if k.arg == "shell"), None)
            assert shell is None or ast.unparse(shell) == "False", f"{file}:{call.lineno} shell="


def test_yaml_is_read_safely_and_archives_are_never_extracted_by_hand() -> None:
    for file, tree in modules():
        for name, call in _calls(tree):
            assert name not in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"), f"{file}:{call.lineno}"
            assert not name.endswith(".extractall"), f"{file}:{call.lineno} extractall"
            assert name not in ("eval", "exec") or "scoring" in file.parts, f"{file}:{call.lineno} {name}"


def test_the_user_s_process_is_readable_by_python_3_7() -> None:
    folders = ("wire", "runs", "endpoints", "scoring")
    files = (
        [f for f, _ in modules(*folders)]
        + sorted(SOURCE.glob("*.py"))
        + sorted((ROOT / "azureml" / "azureml").rglob("*.py"))
    )
    for file in files:
        ast.parse(file.read_text("utf-8"), feature_version=(3, 7))


def _python37() -> str | None:
    for candidate in (Path.home() / ".pyenv" / "versions").glob("3.7.*/bin/python"):
        return str(candidate)
    return None


@pytest.mark.skipif(_python37() is None, reason="no Python 3.7 on this machine")
def test_python_3_7_imports_every_module_of_the_user_s_process() -> None:
    python = _python37()
    assert python is not None
    names = ["modelyard." + f.stem for f in SOURCE.glob("*.py") if f.stem not in ("__init__", "__main__")]
    for folder in ("wire", "runs", "endpoints", "tensorboard", "widgets"):
        names += [
            f"modelyard.{folder}.{f.stem}" for f in (SOURCE / folder).glob("*.py") if f.stem != "__init__"
        ]
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run(
        [python, "-S", "-c", code, *names],
        env={"PYTHONPATH": f"{SOURCE.parent}:{ROOT / 'azureml'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_sdk_loads_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import modelyard; from modelyard import Run, Workspace, Experiment, Model\n"
        "extra = {n.split('.')[0] for n in set(sys.modules) - before} - set(sys.stdlib_module_names) - {'modelyard'}\n"
        "assert not extra, extra"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
