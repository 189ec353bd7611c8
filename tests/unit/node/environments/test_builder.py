from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from services import wait_until

from modelyard.node.environments.builder import Builder, BuildFailed
from modelyard.node.environments.interpreters import installed
from modelyard.wire import codec
from modelyard.wire.environment_hash import pinned
from modelyard.wire.environments import EnvironmentSpec, PythonSpec

_BUILD = """
import sys
from pathlib import Path
from modelyard.node.environments.builder import Builder
from modelyard.wire import codec
from modelyard.wire.environments import EnvironmentSpec
built = Builder(Path(sys.argv[1])).ensure(codec.loads(EnvironmentSpec, sys.argv[2]), lambda line: print(line, flush=True))
print("built", built.interpreter, flush=True)
"""


def _nothing(line: str) -> None:
    pass


def _in_a_process(root: Path, spec: EnvironmentSpec) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", _BUILD, str(root), codec.dumps(spec).decode()]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_what_was_asked_for_is_installed_compiled_and_locked(tmp_path: Path, packages) -> None:
    packages.wheel("alpha", requires="beta>=1")
    packages.wheel("beta", "1.5")
    said: list[str] = []
    builder = Builder(tmp_path / "environments")
    spec = packages.spec("alpha", name="mine", variables={"A": "b"})
    assert not builder.is_ready(spec)
    built = builder.ensure(spec, said.append)
    assert builder.is_ready(spec)
    assert built.lock == ["alpha==1.0", "beta==1.5"]
    assert built.variables == {"A": "b"}
    assert built.content_hash == builder.content_hash(spec)
    assert built.python_version == ".".join(map(str, sys.version_info[:3]))
    out = subprocess.run(
        [built.interpreter, "-c", "import beta; print(beta.version)"], capture_output=True, text=True
    )
    assert out.stdout == "1.5\n"
    home = Path(built.interpreter).parents[1]
    assert list(home.glob("lib/*/site-packages/alpha/__pycache__/*.pyc"))
    log = (tmp_path / "environments" / f"{built.content_hash}.log").read_text()
    assert log.splitlines() == said
    assert any("alpha==1.0" in line for line in said)


def test_a_second_run_finds_it_ready_and_says_nothing(tmp_path: Path, packages) -> None:
    packages.wheel("alpha")
    builder = Builder(tmp_path / "environments")
    first = builder.ensure(packages.spec("alpha"), _nothing)
    said: list[str] = []
    again = Builder(tmp_path / "environments").ensure(
        packages.spec("alpha", variables={"X": "1"}), said.append
    )
    assert (again.interpreter, again.variables, said) == (first.interpreter, {"X": "1"}, [])


def test_a_build_that_cannot_be_resolved_fails_with_the_resolvers_words(tmp_path: Path, packages) -> None:
    packages.wheel("alpha", "1.0")
    builder = Builder(tmp_path / "environments")
    said: list[str] = []
    with pytest.raises(BuildFailed, match=r"alpha==2\.0") as caught:
        builder.ensure(packages.spec("alpha==2.0"), said.append)
    assert "can't be built" in str(caught.value)
    assert any("failed" in line for line in said)
    assert not builder.is_ready(packages.spec("alpha==2.0"))
    packages.wheel("alpha", "2.0")
    assert builder.ensure(packages.spec("alpha==2.0"), _nothing).lock == ["alpha==2.0"]


def test_a_hostile_spec_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    builder = Builder(tmp_path / "environments")
    for line in ("six\n--index-url x", "six --index-url x", "--target /etc"):
        with pytest.raises(BuildFailed):
            builder.ensure(EnvironmentSpec(python=PythonSpec(requirements=[line])), _nothing)
    assert list((tmp_path / "environments").iterdir()) == []


def test_two_that_ask_at_once_share_one_build_and_both_see_its_log_live(
    tmp_path: Path, packages, gate: Callable[[], None], began: Callable[[], int]
) -> None:
    packages.slow_source()
    spec = packages.spec("slow")
    logs: list[list[str]] = [[], []]
    builder = Builder(tmp_path / "environments")
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(builder.ensure, spec, log.append) for log in logs]
        wait_until(lambda: began() == 1, "the build to begin")
        wait_until(
            lambda: all(any("Building environment" in x for x in log) for log in logs), "both to see it"
        )
        gate()
        built = [future.result() for future in futures]
    assert built[0] == built[1]
    assert began() == 1
    assert sum("following that build" in line for log in logs for line in log) == 1
    assert all(any("slow==1.0" in line for line in log) for log in logs)


def test_those_who_waited_for_a_build_that_failed_get_its_words_without_trying_again(
    tmp_path: Path, packages, gate: Callable[[], None], began: Callable[[], int]
) -> None:
    packages.slow_source()
    (packages.directory / "slow-1.0.tar.gz").rename(
        packages.directory / "slow-1.1.tar.gz"
    )  # not what it says it is
    builder = Builder(tmp_path / "environments")
    logs: list[list[str]] = [[], [], []]
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(builder.ensure, packages.spec("slow"), log.append) for log in logs]
        wait_until(lambda: all(logs), "all to begin")
        gate()
        words = {str(future.exception()) for future in futures}
    assert len(words) == 1
    assert began() <= 1


def test_another_process_waits_for_the_build_of_this_one(
    tmp_path: Path, packages, gate: Callable[[], None], began: Callable[[], int]
) -> None:
    packages.slow_source()
    root = tmp_path / "environments"
    spec = packages.spec("slow")
    with _in_a_process(root, spec) as process:
        wait_until(lambda: began() == 1, "the build to begin")
        said: list[str] = []
        mine = threading.Thread(target=Builder(root).ensure, args=(spec, said.append))
        mine.start()
        wait_until(lambda: bool(said), "this one to wait")
        gate()
        mine.join(timeout=60)
        out = process.communicate(timeout=60)[0]
    assert "following that build" in said[0]
    assert "built" in out
    assert began() == 1


def test_a_build_that_was_killed_is_done_again_from_nothing(
    tmp_path: Path, packages, gate: Callable[[], None], began: Callable[[], int]
) -> None:
    packages.slow_source()
    root = tmp_path / "environments"
    spec = packages.spec("slow")
    with _in_a_process(root, spec) as process:
        wait_until(lambda: began() == 1, "the build to begin")
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        assert process.stdout is not None
        process.stdout.close()
    builder = Builder(root)
    assert not builder.is_ready(spec)
    left = root / builder.content_hash(spec) / "left-over"
    left.write_text("of the build that was killed")
    gate()
    built = builder.ensure(spec, _nothing)
    assert built.lock == ["slow==1.0"]
    assert not left.exists()
    assert subprocess.run([built.interpreter, "-c", "import slow"]).returncode == 0


def test_an_environment_whose_python_is_gone_is_built_again(tmp_path: Path, packages) -> None:
    packages.wheel("alpha")
    builder = Builder(tmp_path / "environments")
    built = builder.ensure(packages.spec("alpha"), _nothing)
    os.unlink(built.interpreter)
    assert not builder.is_ready(packages.spec("alpha"))
    assert builder.ensure(packages.spec("alpha"), _nothing) == built
    shutil.rmtree(tmp_path / "environments")
    assert builder.ensure(packages.spec("alpha"), _nothing) == built


def test_a_run_can_be_repeated_from_its_lock(tmp_path: Path, packages) -> None:
    packages.wheel("alpha", "1.0")
    builder = Builder(tmp_path / "environments")
    spec = packages.spec("alpha")
    built = builder.ensure(spec, _nothing)
    packages.wheel("alpha", "2.0")
    again = builder.ensure(pinned(spec, built.lock, built.python_version), _nothing)
    assert again.lock == ["alpha==1.0"]
    assert again.content_hash != built.content_hash


@pytest.mark.parametrize("minor", [6, 7])
def test_an_old_python_is_built_for_where_the_machine_has_it(tmp_path: Path, packages, minor: int) -> None:
    if not any(i.version[:2] == (3, minor) for i in installed()):
        pytest.skip(f"no Python 3.{minor} on this machine")
    packages.wheel("alpha")
    python = PythonSpec(requirements=["alpha"], pip_options=packages.options, python_version=f"3.{minor}")
    built = Builder(tmp_path / "environments").ensure(EnvironmentSpec(python=python), _nothing)
    assert built.python_version.startswith(f"3.{minor}.")
    assert built.lock == ["alpha==1.0"]
    assert list(Path(built.interpreter).parents[1].glob("lib/*/site-packages/alpha/__pycache__/*.pyc"))


def test_what_may_hold_a_password_is_for_the_owner_alone(tmp_path: Path, packages) -> None:
    packages.wheel("alpha")
    said: list[str] = []
    python = PythonSpec(
        requirements=["alpha"],
        pip_options=[*packages.options, "--extra-index-url http://me:secret@127.0.0.1:9/simple"],
    )
    builder = Builder(tmp_path / "environments")
    built = builder.ensure(EnvironmentSpec(python=python), said.append)
    file = tmp_path / "environments" / f"{built.content_hash}.requirements.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any("secret" in line for line in said)


def test_nothing_asked_for_is_the_python_of_the_agent(tmp_path: Path) -> None:
    built = Builder(tmp_path / "environments").ensure(EnvironmentSpec(), _nothing)
    assert built.interpreter == sys.executable
    assert any(line.startswith("pytest==") for line in built.lock)
