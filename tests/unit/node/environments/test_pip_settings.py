from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.node.environments import pip_settings


@pytest.fixture
def no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_settings, "_SYSTEM_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("no_files")
def test_what_pip_is_told_uv_is_told(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://mirror/simple\nextra-index-url =\n  https://a\n  https://b\n"
    )
    said = pip_settings.for_uv({"PIP_CONFIG_FILE": str(file), "PIP_FIND_LINKS": "/opt/wheels"})
    assert said == {
        "UV_DEFAULT_INDEX": "https://mirror/simple", "UV_INDEX": "https://a https://b", "UV_FIND_LINKS": "/opt/wheels",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }  # fmt: skip


@pytest.mark.usefixtures("no_files")
def test_what_uv_is_told_itself_goes_first() -> None:
    assert pip_settings.for_uv({"PIP_INDEX_URL": "https://a", "UV_DEFAULT_INDEX": "https://b"}) == {}


@pytest.mark.usefixtures("no_files")
def test_a_broken_file_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("no section\n")
    assert pip_settings.for_uv({"PIP_CONFIG_FILE": str(file)}) == {}
