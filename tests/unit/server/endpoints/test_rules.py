"""What a web service may be called and asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.server.endpoints import rules
from modelyard.server.kernel.errors import Invalid
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.endpoints import EndpointCreate, ServiceSpec

SPEC = ServiceSpec(models=["m:1"], entry_script="score.py", snapshot_id="s")


@pytest.mark.parametrize("name", ["abc", "digits-2", "a" * 32, "x1y"])
def test_good_names_are_taken(name):
    rules.check_name(name)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 33, "Abc", "1abc", "-abc", "abc-", "a_b_c", "a b", "äbc", "abc\n"]
)
def test_bad_names_are_refused_with_the_rule(name):
    with pytest.raises(Invalid, match="3 to 32 lower-case letters"):
        rules.check_name(name)


@given(st.text())
def test_any_name_is_either_taken_or_refused(name):
    try:
        rules.check_name(name)
    except Invalid:
        return
    assert 3 <= len(name) <= 32


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("replicas", 0, "replicas must be 1 to 64, not 0"),
        ("replicas", 65, "not 65"),
        ("port", -1, "port must be"),
        ("port", 70000, "not 70000"),
        ("scoring_timeout_s", 0.0, "scoring_timeout_s"),
        ("max_body_bytes", 0, "max_body_bytes"),
        ("models", ["m:1", "m:1"], "twice"),
        ("variables", {"A=B": "1"}, "'A=B'"),
        ("variables", {"A": "1\0"}, "NUL"),
    ],
)
def test_a_spec_out_of_range_is_refused_naming_the_field(field, value, said):
    import dataclasses

    with pytest.raises(Invalid, match=said):
        rules.check_spec(dataclasses.replace(SPEC, **{field: value}))


def test_a_missing_entry_script_is_named_with_what_is_there():
    entries = [FileEntry(f"f{n:02}.py", "0" * 64, 1) for n in range(25)]
    with pytest.raises(Invalid) as refused:
        rules.check_entry_script("score.py", entries)
    assert "'score.py' is not in the source directory" in refused.value.detail
    assert "f00.py" in refused.value.detail
    assert "5 more" in refused.value.detail


@pytest.mark.parametrize(
    ("given_id", "meant"),
    [
        ("digits:3", ("digits", 3)),
        ("digits", ("digits", None)),
        ("digits:latest", ("digits", None)),
        ("a:b:2", ("a:b", 2)),
    ],
)
def test_model_ids_are_understood(given_id, meant):
    assert rules.split_model_id(given_id) == meant


@pytest.mark.parametrize(
    "given_id", ["", ":1", "digits:x", "digits:", "digits:-1", "digits:٣", "d:9999999999"]
)
def test_other_model_ids_are_refused(given_id):
    with pytest.raises(Invalid, match="NAME:VERSION"):
        rules.split_model_id(given_id)


def test_keys_are_printable_ascii():
    rules.check_create(EndpointCreate("abc", SPEC, primary_key="s3cret"))
    for key in ("has space", "ünicode", "a" * 300, "nl\n"):
        with pytest.raises(Invalid, match="primary key"):
            rules.check_create(EndpointCreate("abc", SPEC, primary_key=key))


def test_without_code_one_model_of_a_known_framework_is_served():
    rules.check_no_code(["ScikitLearn"])
    for frameworks in ([], ["Custom"], ["ScikitLearn", "ScikitLearn"]):
        with pytest.raises(Invalid, match="entry script"):
            rules.check_no_code(frameworks)
