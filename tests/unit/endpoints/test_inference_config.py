"""InferenceConfig: what it refuses before anything is sent, and what travels."""

from __future__ import annotations

import pytest

from modelyard.endpoints import InferenceConfig
from modelyard.errors import UserErrorException

SCORE = "def init():\n    pass\n\ndef run(data):\n    return data\n"


@pytest.fixture
def source(tmp_path, monkeypatch):
    (tmp_path / "src" / "inner").mkdir(parents=True)
    for path in ("src/score.py", "src/inner/score.py", "score.py"):
        (tmp_path / path).write_text(SCORE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_with_a_source_directory_all_of_it_travels(source):
    config = InferenceConfig("inner/score.py", source_directory="src")
    assert config.directory() == str(source / "src")
    assert config.files() is None
    assert config.entry_in_directory() == "inner/score.py"


def test_without_one_only_the_entry_script_travels(source):
    config = InferenceConfig("src/inner/score.py")
    assert config.directory() == str(source / "src" / "inner")
    assert config.files() == ["score.py"]
    assert config.entry_in_directory() == "score.py"


def test_an_absolute_entry_script_inside_the_source_directory_is_made_relative(source):
    config = InferenceConfig(str(source / "src" / "score.py"), source_directory="src")
    assert config.entry_in_directory() == "score.py"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"entry_script": ""}, "needs an entry_script"),
        ({"entry_script": "gone.py"}, "'gone.py' is not a file"),
        ({"entry_script": "gone.py", "source_directory": "src"}, "which holds: inner, score.py"),
        ({"entry_script": "score.py", "source_directory": "nowhere"}, "'nowhere' is not a directory"),
        ({"entry_script": "score.py", "runtime": "spark-py"}, "runtime 'spark-py'"),
        ({"entry_script": "score.py", "conda_file": "gone.yml"}, "conda_file 'gone.yml'"),
        ({"entry_script": "score.py", "environment": "my-env"}, "must be an Environment, not str"),
        ({"entry_script": "../score.py", "source_directory": "src"}, "outside of source_directory"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(source, arguments, said):
    with pytest.raises(UserErrorException, match=said):
        InferenceConfig(**arguments)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("def init(): pass\n", r"has no run\(\)"),
        ("def run(data): pass\n", r"has no init\(\)"),
        ("x = 1\n", r"has no init\(\) and no run\(\)"),
    ],
)
def test_a_script_without_init_or_run_is_refused(source, text, missing):
    (source / "score.py").write_text(text)
    with pytest.raises(UserErrorException, match=missing):
        InferenceConfig("score.py").validation_script_content()


@pytest.mark.parametrize(
    "text",
    [
        SCORE,
        "from other import init, run\n",
        "from other import *\n",
        "init = run = print\n",
        "if True:\n    def init(): pass\n    async def run(d): pass\n",
        "this is not Python, or not ours",
    ],
)
def test_a_script_that_may_have_both_is_left_alone(source, text):
    (source / "score.py").write_text(text)
    InferenceConfig("score.py").validation_script_content()
