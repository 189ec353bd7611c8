from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.wire import requirement_lines as lines

GOOD = [
    "numpy", "numpy==1.19.2", "numpy>=1.2, <2", "Scikit_Learn~=1.0", "a[b,c]==1", "a===1.0", "torch==1.6.0+cpu",
    "importlib-metadata; python_version < '3.8'", "a>=1; sys_platform == 'linux' and python_version >= '3.7'",
    "a @ https://example.org/a-1-py3-none-any.whl", "https://example.org/a-1-py3-none-any.whl#sha256=00", "a (>=1.2)",
    "git+https://example.org/a.git@v1", "/opt/wheels/a-1-py3-none-any.whl", "a==1 --hash=sha256:00ff", "numpy==1.*", "a!=1.5",
]  # fmt: skip
HOSTILE = [
    "numpy\n--index-url https://evil.example", "numpy\r\nevil", "numpy --index-url https://evil.example", "numpy -i x",
    "--index-url https://evil.example", "-r other.txt", "-e .", "--target /etc", "numpy; $(touch x)", "$(touch x)", "`id`",
    "numpy\x00", "numpy | sh", "numpy && id", "../evil", "./evil.whl", "", "   ", "numpy\u2028evil", "a @ ftp://x/y", "a" * 3000,
    "numpy==1.0\t--extra-index-url=x", "numpy ; python_version < '3' --pre", "file\x1b[31m", "a @ https://x/`id`",
]  # fmt: skip


@pytest.mark.parametrize("line", GOOD)
def test_a_requirement_as_people_write_it_is_taken(line: str) -> None:
    assert lines.requirement_problem(line) == ""


@pytest.mark.parametrize("line", HOSTILE)
def test_a_line_that_is_more_than_a_requirement_is_refused(line: str) -> None:
    assert lines.requirement_problem(line)


@pytest.mark.parametrize("line", [*HOSTILE, "numpy;id", "a::b::c", "https://x/y", "x --override-channels"])
def test_a_line_that_is_more_than_a_conda_dependency_is_refused(line: str) -> None:
    assert lines.conda_problem(line)


@pytest.mark.parametrize(
    "line",
    [
        "numpy",
        "numpy=1.18",
        "numpy=1.18=py36_0",
        "conda-forge::x>=1,<2",
        "x[version='>=1']",
        "python 3.6.*",
        "-c c::x",
    ],
)
def test_a_conda_dependency_as_people_write_it_is_taken(line: str) -> None:
    assert lines.conda_problem(line) == ""


@pytest.mark.parametrize(
    "line", ["--extra-index-url https://x/y", "--index-url=https://u:p@x", "--pre", "-f /opt/w"]
)
def test_pip_options_of_the_list_are_taken(line: str) -> None:
    assert lines.option_problem(line) == ""


@pytest.mark.parametrize(
    "line",
    ["--target /etc", "--index-url", "--index-url ftp://x", "--pre yes", "--index-url https://x --target /etc",
     "--find-links --pre", "--config-settings x", "--index-url https://x\n--target y", "numpy"],
)  # fmt: skip
def test_other_pip_options_are_refused(line: str) -> None:
    assert lines.option_problem(line)


def test_a_message_says_what_to_do() -> None:
    assert "'=='" in lines.requirement_problem("numpy=1.2")
    assert "set_pip_option" in lines.requirement_problem("--pre")
    assert "-r" in lines.requirement_problem("-r other.txt")


def test_passwords_in_addresses_are_not_shown() -> None:
    assert (
        lines.without_secrets("--index-url https://me:secret@host/simple")
        == "--index-url https://***@host/simple"
    )
    assert (
        lines.without_secrets("Channel https://host/conda/t/token-12/mine")
        == "Channel https://host/conda/t/***/mine"
    )


@given(st.text(max_size=60))
def test_whatever_is_taken_holds_no_control_character_and_no_option(text: str) -> None:
    for problem_of in (lines.requirement_problem, lines.conda_problem, lines.option_problem):
        if not problem_of(text):
            assert "\n" not in text
            assert "\x00" not in text
    if not lines.requirement_problem(text):
        assert not text.strip().startswith("-")


@given(st.sampled_from(GOOD))
def test_the_normal_form_is_stable_and_taken_too(line: str) -> None:
    normal = lines.normal_requirement(line)
    assert lines.normal_requirement(normal) == normal
    assert lines.requirement_problem(normal) == ""
