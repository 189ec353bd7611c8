from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.activation import activated


@pytest.mark.parametrize(
    ("sign", "name"), [("pyvenv.cfg", "VIRTUAL_ENV"), ("conda-meta", "CONDA_PREFIX"), ("nothing", "")]
)
def test_a_process_finds_its_own_environment_as_after_activation(
    tmp_path: Path, sign: str, name: str
) -> None:
    (tmp_path / sign).mkdir()
    base = {
        "PATH": "/usr/bin",
        "VIRTUAL_ENV": "/yard",
        "CONDA_PREFIX": "/yard",
        "MODELYARD_HOME": "/y",
        "LD_LIBRARY_PATH": "/x",
    }
    expected = {"PATH": f"{tmp_path}/bin:/usr/bin", "LD_LIBRARY_PATH": "/x", "PYTHONIOENCODING": "utf-8"}
    found = activated(str(tmp_path / "bin" / "python"), base)
    assert found == {**expected, **({name: str(tmp_path)} if name else {})}
