"""Runs commands in this process, as `modelyard …` would."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelyard.cli.failures import run_and_tell
from modelyard.cli.main import cli


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class _Stdout(io.TextIOWrapper):
    """Has a `.buffer`, as the real one does."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def modelyard(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Done]]:
    def call(*arguments: str) -> Done:
        out, err = _Stdout(io.BytesIO(), "utf-8"), _Stdout(io.BytesIO(), "utf-8")
        monkeypatch.setenv("MODELYARD_HOME", str(home))  # an earlier call's --home has set it
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_and_tell(cli, arguments)
        texts = []
        for stream in (out, err):
            stream.flush()
            texts.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
        return Done(code, *texts)

    yield call
    assert sys.stdout is not None
