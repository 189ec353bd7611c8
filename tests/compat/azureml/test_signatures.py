"""Any call that SDK v1 took is taken: names, order and defaults of what the classes of this version have.

v1_surface.json holds facts of v1's public interface (1.61): class, member, parameters; names with an underscore left out.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
FACTS: dict[str, dict[str, str]] = json.loads((HERE / "v1_surface.json").read_text())
MEMBERS = [
    (path, member, parameters)
    for path, members in FACTS.items()
    for member, parameters in members.items()
    if member != "values"
]
_REQUIRED = object()


@pytest.fixture(scope="module", autouse=True)
def azureml_tree() -> Iterator[None]:
    tree = str(HERE.parents[2] / "azureml")
    sys.path.insert(0, tree)
    yield
    sys.path.remove(tree)
    # A later test decides for itself whether azureml is installed; the catalogue's finder goes with it.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "azureml._not_yet"]
    for name in [name for name in sys.modules if name.split(".")[0] == "azureml"]:
        del sys.modules[name]


def named(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def wanted_of(parameters: str) -> tuple[dict[str, Any], set[str]]:
    """Parameters with their defaults, and which of `*` and `**` are taken."""
    args = ast.parse(f"def f({parameters}): pass").body[0].args  # type: ignore[attr-defined]
    defaults = [_REQUIRED] * (len(args.args) - len(args.defaults)) + [
        ast.literal_eval(one) for one in args.defaults
    ]
    stars = {star for star, one in (("*", args.vararg), ("**", args.kwarg)) if one is not None}
    return dict(zip((one.arg for one in args.args), defaults, strict=True)), stars


@pytest.mark.parametrize(
    "path, member, parameters", MEMBERS, ids=[f"{path}.{member}" for path, member, _ in MEMBERS]
)
def test_a_call_of_v1_is_taken(path: str, member: str, parameters: str) -> None:
    found = named(path)
    has = inspect.signature(found if member == "()" else getattr(found, member)).parameters
    if member != "()" and next(iter(has), None) == "self":
        has = dict(list(has.items())[1:])
    wanted, stars = wanted_of(parameters)
    positional = [
        name
        for name, one in has.items()
        if one.kind is one.POSITIONAL_OR_KEYWORD and not name.startswith("_")
    ]
    assert positional[: len(wanted)] == list(wanted)
    for name, default in wanted.items():
        if default is not _REQUIRED:
            assert (has[name].default or None) == (default or None), name
    for name in positional[len(wanted) :]:
        assert has[name].default is not inspect.Parameter.empty, f"v1 calls it without {name}"
    kinds = {one.kind for one in has.values()}
    assert "*" not in stars or inspect.Parameter.VAR_POSITIONAL in kinds
    if member != "__init__":  # v1's constructors take anything in theirs, which hides misspelt names
        assert "**" not in stars or inspect.Parameter.VAR_KEYWORD in kinds


@pytest.mark.parametrize("path", [path for path, members in FACTS.items() if "values" in members])
def test_a_value_of_v1_is_there(path: str) -> None:
    kind = named(path)
    source = inspect.getsource(kind.__init__) if "__init__" in vars(kind) else ""
    missing = [
        name
        for name in FACTS[path]["values"].split()
        if name not in dir(kind) and f"self.{name}" not in source
    ]
    assert missing == []
