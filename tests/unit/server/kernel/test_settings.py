from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.server.kernel.errors import Invalid
from modelyard.server.kernel.settings import load


def origins(home: Path, flags: dict[str, object], environ: dict[str, str]) -> dict[str, tuple[object, str]]:
    _, found = load({"home": home, **flags}, environ)
    return {o.name: (o.value, o.origin) for o in found}


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("port = 1\nslots = 3\nhost = 'a'\n")
    found = origins(tmp_path, {"port": 9}, {"MODELYARD_PORT": "5", "MODELYARD_HOST": "b"})
    assert found["port"] == (9, "flag")
    assert found["host"] == ("b", "MODELYARD_HOST")
    assert found["slots"] == (3, str(tmp_path / "config.toml"))
    assert found["lease_s"] == (30.0, "default")


def test_a_value_that_does_not_fit_names_the_setting_and_where_it_came_from(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="'port' from MODELYARD_PORT must be a whole number, got 'seven'"):
        load({"home": tmp_path}, {"MODELYARD_PORT": "seven"})


@pytest.mark.parametrize("text", ["prot = 1", "port = ", "\x00"])
def test_a_bad_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(Invalid, match=r"config\.toml"):
        load({"home": tmp_path}, {})


def test_home_defaults_to_the_user_s_own(tmp_path: Path) -> None:
    settings, _ = load({}, {"MODELYARD_HOME": str(tmp_path)})
    assert settings.home == tmp_path
    assert settings.database_url == f"sqlite:///{tmp_path}/yard.db"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("slots = -4", "'slots' from .* must be 0 or more, got -4"),
        ("slots = 1.7", "must be a whole number"),
        ("port = true", "must be a whole number"),
        ("port = [1]", "must be a whole number"),
        ("host = 7", "must be a text"),
        ("lease_s = 0", "'lease_s' from .* must be 1 or more"),
        ("lost_after_s = nan", "must be 1 or more"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "config.toml").write_text(line + "\n")
    with pytest.raises(Invalid, match=words):
        load({"home": tmp_path}, {})


def test_a_whole_number_will_do_for_seconds(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("lease_s = 45\n")
    assert load({"home": tmp_path}, {})[0].lease_s == 45.0
