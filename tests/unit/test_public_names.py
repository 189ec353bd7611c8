"""The lazy table holds what the modules have."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import modelyard


@pytest.mark.parametrize("name", [n for n in modelyard.__all__ if not n.startswith("__")])
def test_every_public_name_is_found_in_its_module(name: str) -> None:
    value = getattr(modelyard, name)
    assert value is getattr(importlib.import_module(modelyard._NAMES[name]), name)
    assert name in dir(modelyard)


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Wrokspace"):
        modelyard.Wrokspace  # noqa: B018


def test_importing_the_package_imports_nothing_of_it() -> None:
    script = "import sys, modelyard; print([m for m in sys.modules if m.startswith('modelyard.')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['modelyard.version']"


def test_a_script_that_only_logs_never_loads_http_or_other_heavy_modules() -> None:
    script = "import sys; from modelyard import Run; Run.get_context(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for heavy in (
        "http.client",
        "asyncio",
        "urllib.request",
        "logging",
        "ssl",
        "uuid",
        "subprocess",
        "tempfile",
    ):
        assert f"'{heavy}'" not in done.stdout, heavy
