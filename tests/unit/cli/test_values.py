"""What people type."""

from __future__ import annotations

import click
import pytest

from modelyard.cli import config, output, values
from modelyard.cli.failures import Failure


def test_pairs_are_split_at_the_first_equals_sign() -> None:
    assert values.pairs(["a=1", "b=x=y", "c="], "--tag") == {"a": "1", "b": "x=y", "c": ""}


def test_a_pair_without_a_key_is_refused() -> None:
    with pytest.raises(click.UsageError, match="--tag '=1': write KEY=VALUE"):
        values.pairs(["=1"], "--tag")


def test_a_key_alone_is_refused_and_the_empty_value_explained() -> None:
    with pytest.raises(click.UsageError, match="--tag 'solo': write KEY=VALUE, or solo= for an empty value"):
        values.pairs(["solo"], "--tag")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("15 min", 900), ("2h", 7200), ("1d", 86400)]
)
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    assert values.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-3s", "2 weeks", "h", "1e3"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.UsageError, match="not a duration"):
        values.duration(text)


def test_a_models_version_is_a_number_or_latest() -> None:
    assert values.name_and_version("m") == ("m", None)
    assert values.name_and_version("m:latest") == ("m", None)
    assert values.name_and_version("m:7") == ("m", 7)
    with pytest.raises(Failure, match="number or 'latest'"):
        values.name_and_version("m:new")


def test_two_environments_are_refused() -> None:
    with pytest.raises(click.UsageError, match="--conda-file and --python"):
        values.environment_of(None, None, "conda.yml", None, "/usr/bin/python3")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hush@db:5432/yard", "postgresql://me:***@db:5432/yard"),
        (
            "s3://b/p?region=us&secret_access_key=hush&access_key_id=hush",
            "s3://b/p?region=us&secret_access_key=***&access_key_id=***",
        ),
        ("az://c?account_key=hush", "az://c?account_key=***"),
        ("", ""),
    ],
)
def test_passwords_in_settings_are_not_shown(url: str, shown: str) -> None:
    assert config._shown("database", url) == shown


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (1023, "1023 B"), (2048, "2.0 KiB"), (5 * 1024**3, "5.0 GiB")]
)
def test_sizes_have_units(value: float, text: str) -> None:
    assert output.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (1.25, "1.2 s"), (61, "1 min 1 s"), (3661, "1 h 1 min")]
)
def test_durations_are_shown_by_their_size(value: float | None, text: str) -> None:
    assert output.seconds(value) == text
