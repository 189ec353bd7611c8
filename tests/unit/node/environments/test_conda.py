from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conda_channel import CondaChannel
from services import wait_until

from modelyard.node.environments import conda
from modelyard.node.environments.builder import Builder, BuildFailed
from modelyard.node.environments.channels import Channels
from modelyard.node.environments.interpreters import installed
from modelyard.wire import codec
from modelyard.wire.environment_hash import pinned, spec_problem
from modelyard.wire.environments import EnvironmentSpec, PythonSpec

_BUILD = """
import sys
from pathlib import Path
from modelyard.node.environments.builder import Builder
from modelyard.wire import codec
from modelyard.wire.environments import EnvironmentSpec
Builder(Path(sys.argv[1])).ensure(codec.loads(EnvironmentSpec, sys.argv[2]), lambda line: print(line, flush=True))
"""


def _spec(
    channels: list[str], *dependencies: Any, pip: list[str] | None = None, **fields: Any
) -> EnvironmentSpec:
    section = [{"pip": pip}] if pip else []
    specification = {"channels": channels, "dependencies": [*dependencies, *section]}
    spec = EnvironmentSpec(python=PythonSpec(conda=specification), **fields)
    assert spec_problem(spec) == ""
    return spec


def _said_by(interpreter: str, code: str) -> str:
    return subprocess.run(
        [interpreter, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def _closed() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/closed"


def test_conda_packages_and_then_pips_are_installed_compiled_and_locked(
    tmp_path: Path, packages, channel
) -> None:
    packages.wheel("gamma", "2.0", requires="beta>=1")
    said: list[str] = []
    spec = _spec([channel.address], "alpha", "pip", pip=[*packages.options, "gamma", "azureml-defaults"])
    channel.module("pip", "20.1")
    channel.index()
    packages.wheel("inference_schema")
    built = Builder(tmp_path / "environments").ensure(spec, said.append)
    assert (
        _said_by(built.interpreter, "import alpha, beta, gamma; print(beta.version, gamma.version)")
        == "1.5 2.0"
    )
    prefix = Path(built.interpreter).parents[1]
    assert prefix.name == built.content_hash
    for name in ("alpha", "gamma"):
        assert list(prefix.glob("lib/*/site-packages/**/__pycache__/*.pyc")), name
    of_conda = [line for line in built.lock if "#sha256:" in line]
    names = [line.rpartition("/")[2].partition("-")[0] for line in of_conda]
    assert names == ["alpha", "beta", "pip", "python"]
    assert [line for line in built.lock if line not in of_conda] == ["gamma==2.0", "inference-schema==1.0"]
    assert built.python_version == ".".join(map(str, sys.version_info[:3]))
    assert any("Solving for alpha" in line for line in said)
    assert any(line.startswith(" + alpha==1.0") for line in said)
    assert any("modelyard's own azureml tree" in line for line in said)
    log = (tmp_path / "environments" / f"{built.content_hash}.log").read_text()
    assert log.splitlines() == said


def test_names_addresses_and_directories_are_channels(tmp_path: Path, channel, monkeypatch) -> None:
    monkeypatch.setenv("CONDA_CHANNEL_ALIAS", tmp_path.as_uri())
    for form in (str(channel.directory), channel.address, "channel"):
        built = Builder(tmp_path / form.replace("/", "_")).ensure(_spec([form], "beta"), lambda line: None)
        assert any(line.startswith(f"{channel.address}/noarch/beta-1.5-0") for line in built.lock)


def test_a_package_of_a_named_channel_is_taken_from_there(tmp_path: Path, channel, monkeypatch) -> None:
    monkeypatch.setenv("CONDA_CHANNEL_ALIAS", tmp_path.as_uri())
    other = CondaChannel(tmp_path / "other")
    other.module("beta", "0.9")
    other.index()
    spec = _spec(["channel"], "alpha", "other::beta")
    with pytest.raises(BuildFailed, match=r"beta"):  # alpha needs beta >=1, which `other` has not
        Builder(tmp_path / "environments").ensure(spec, lambda line: None)
    built = Builder(tmp_path / "environments").ensure(
        _spec(["channel"], "other::beta = 0.9"), lambda line: None
    )
    assert f"{other.address}/noarch/beta-0.9-0.tar.bz2" in "".join(built.lock)


def test_a_package_that_only_a_later_channel_has_in_time_is_found_as_conda_does(
    tmp_path: Path, channel
) -> None:
    first = CondaChannel(tmp_path / "first")
    first.module("beta", "0.1")
    first.index()
    said: list[str] = []
    spec = _spec([first.address, channel.address], "alpha")
    built = Builder(tmp_path / "environments").ensure(spec, said.append)
    assert f"{channel.address}/noarch/beta-1.5" in "".join(built.lock)
    assert any("all channels being equal" in line for line in said)


def test_what_the_solver_cannot_do_fails_the_build_with_its_words(tmp_path: Path, channel) -> None:
    builder = Builder(tmp_path / "environments")
    said: list[str] = []
    channel.module("gamma", requires="beta >=2")
    channel.index()
    spec = _spec([channel.address], "gamma")
    with pytest.raises(
        BuildFailed, match=r"(?s)can't be built.*gamma 1\.0 would require.*beta >=2, for which no candidates"
    ):
        builder.ensure(spec, said.append)
    assert any("The build failed" in line for line in said)
    assert not builder.is_ready(spec)
    channel.module("beta", "2.5")
    channel.index()
    assert len(builder.ensure(spec, said.append).lock) == 3


def test_a_package_that_no_channel_has_is_named(tmp_path: Path, channel) -> None:
    with pytest.raises(BuildFailed, match=r"nonesuch"):
        Builder(tmp_path / "environments").ensure(_spec([channel.address], "nonesuch=2"), lambda line: None)


@pytest.mark.parametrize("address", ["closed", "https://nowhere.invalid/channel"])
def test_a_channel_that_does_not_answer_is_said_and_names_are_mapped(
    tmp_path: Path, packages, channel, address
) -> None:
    packages.wheel("torch")
    address = _closed() if address == "closed" else address
    said: list[str] = []
    spec = _spec([channel.address, address], "pytorch", pip=packages.options)
    built = Builder(tmp_path / "environments", Channels({})).ensure(spec, said.append)
    assert built.lock == ["torch==1.0"]
    why = [line for line in said if "does not answer" in line]
    assert len(why) == 1
    assert address in why[0]
    assert "taken from the Python index" in why[0]
    assert built.notes[0] == why[0]


def test_no_channel_named_means_conda_forge(tmp_path: Path, packages) -> None:
    packages.wheel("torch")
    said: list[str] = []
    Builder(tmp_path / "environments").ensure(_spec([], "pytorch", pip=packages.options), said.append)
    assert any(line.startswith("Channel conda-forge is not asked: CONDA_OFFLINE is set.") for line in said)


def test_without_py_rattler_names_are_mapped_and_the_install_line_is_said(
    tmp_path: Path, packages, channel, monkeypatch
) -> None:
    monkeypatch.setattr(conda, "is_installed", lambda: False)
    packages.wheel("beta", "1.0")
    said: list[str] = []
    builder = Builder(tmp_path / "environments")
    assert builder.ensure(_spec([channel.address], "beta", pip=packages.options), said.append).lock == [
        "beta==1.0"
    ]
    assert sum("pip install 'modelyard[conda]'" in line for line in said) == 1
    lock = [f"{channel.address}/noarch/beta-1.5-0.tar.bz2"]
    with pytest.raises(BuildFailed, match=r"pip install 'modelyard\[conda\]'"):
        builder.ensure(_spec([], *lock), said.append)


def test_a_specification_without_conda_packages_asks_no_channel(tmp_path: Path, packages) -> None:
    packages.wheel("alpha")
    said: list[str] = []
    spec = _spec(
        ["nowhere"],
        f"python={sys.version_info[0]}.{sys.version_info[1]}",
        "pip",
        pip=[*packages.options, "alpha"],
    )
    assert Builder(tmp_path / "environments", Channels({})).ensure(spec, said.append).lock == ["alpha==1.0"]
    assert not any("channel" in line for line in said)


def test_a_python_that_this_machine_has_not_comes_from_the_channels_that_are_named(
    tmp_path: Path, channel
) -> None:
    channel.python("3.99.1")
    channel.index()
    built = Builder(tmp_path / "environments").ensure(
        _spec([channel.address], "python=3.99"), lambda line: None
    )
    assert built.python_version == "3.99.1"
    assert len(built.lock) == 1
    with pytest.raises(BuildFailed, match=r"no Python 3\.98"):
        Builder(tmp_path / "environments").ensure(_spec([], "python=3.98"), lambda line: None)


def test_the_python_that_v1_wrote_when_nobody_chose_gives_way_to_one_that_is_there(
    tmp_path: Path, channel
) -> None:
    said: list[str] = []
    built = Builder(tmp_path / "environments").ensure(
        _spec([channel.address], "python=3.8.13", "beta"), said.append
    )
    assert built.python_version == ".".join(map(str, sys.version_info[:3]))
    assert any("No candidates were found for python 3.8.13" in line for line in said)
    with pytest.raises(BuildFailed, match=r"python 3\.8\.12"):
        Builder(tmp_path / "environments").ensure(
            _spec([channel.address], "python=3.8.12", "beta"), lambda line: None
        )


def test_scripts_that_import_azureml_get_a_python_that_can(tmp_path: Path, channel) -> None:
    seven = next((i for i in installed() if i.version[:2] == (3, 7)), None)
    if seven is None:
        pytest.skip("no Python 3.7 on this machine")
    channel.python("3.6.2")
    channel.python(interpreter=seven)
    channel.index()
    said: list[str] = []
    spec = _spec([channel.address], "python=3.6.2", "beta", pip=["azureml-core"])
    built = Builder(tmp_path / "environments").ensure(spec, said.append)
    assert built.python_version == seven.text
    assert any("need 3.7 or newer" in line for line in said)
    assert _said_by(built.interpreter, "import beta; print(beta.version)") == "1.5"


def test_packages_that_bring_no_python_are_refused(tmp_path: Path, channel) -> None:
    file = channel.package("data", "1.0", {"share/data.txt": b"x"}, noarch="generic")
    with pytest.raises(BuildFailed, match="bring no Python"):
        Builder(tmp_path / "environments").ensure(
            _spec([], f"{channel.address}/noarch/{file}"), lambda line: None
        )


def test_a_run_is_repeated_with_exactly_its_conda_packages(tmp_path: Path, packages, channel) -> None:
    packages.wheel("gamma", "1.0")
    builder = Builder(tmp_path / "environments")
    spec = _spec([channel.address], "alpha", pip=[*packages.options, "gamma"])
    built = builder.ensure(spec, lambda line: None)
    channel.module("beta", "1.6")
    channel.index()
    packages.wheel("gamma", "2.0")
    again = pinned(spec, built.lock, built.python_version)
    assert spec_problem(again) == ""
    repeated = builder.ensure(again, lambda line: None)
    assert repeated.lock == built.lock
    assert repeated.content_hash != built.content_hash
    assert (
        _said_by(repeated.interpreter, "import beta, gamma; print(beta.version, gamma.version)") == "1.5 1.0"
    )


def test_a_locked_package_that_has_been_changed_is_refused(tmp_path: Path, channel) -> None:
    builder = Builder(tmp_path / "environments")
    spec = _spec([channel.address], "beta")
    built = builder.ensure(spec, lambda line: None)
    with open(channel.directory / "noarch" / "beta-1.5-0.tar.bz2", "ab") as file:
        file.write(b"more")
    with pytest.raises(BuildFailed, match="is not the package that the lock means"):
        builder.ensure(pinned(spec, built.lock), lambda line: None)


@pytest.fixture
def slow(packages, channel) -> EnvironmentSpec:
    """A build that stands between its conda packages and its pip section until the gate opens."""
    packages.slow_source()
    return _spec([channel.address], "alpha", pip=[*packages.options, "slow"])


def test_two_that_ask_at_once_build_one_prefix(
    tmp_path: Path, slow: EnvironmentSpec, gate: Callable[[], None], began: Callable[[], int]
) -> None:
    logs: list[list[str]] = [[], []]
    builder = Builder(tmp_path / "environments")
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(builder.ensure, slow, log.append) for log in logs]
        wait_until(lambda: began() == 1, "the build to begin")
        wait_until(lambda: all(any("Solving for" in line for line in log) for log in logs), "both to see it")
        gate()
        built = [future.result() for future in futures]
    assert built[0] == built[1]
    assert began() == 1


def test_a_build_that_was_killed_is_done_again(
    tmp_path: Path, slow: EnvironmentSpec, gate: Callable[[], None], began: Callable[[], int]
) -> None:
    root = tmp_path / "environments"
    arguments = [sys.executable, "-c", _BUILD, str(root), codec.dumps(slow).decode()]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: began() == 1, "the build to begin")
        os.kill(process.pid, signal.SIGKILL)
    builder = Builder(root)
    assert not builder.is_ready(slow)
    left = root / builder.content_hash(slow) / "left-over"
    left.write_text("of the build that was killed")
    gate()
    built = builder.ensure(slow, lambda line: None)
    assert "slow==1.0" in built.lock
    assert not left.exists()
    assert _said_by(built.interpreter, "import alpha, slow; print(alpha.version)") == "1.0"


def test_a_password_of_a_channel_is_in_no_log(tmp_path: Path, packages, channel) -> None:
    packages.wheel("beta")
    said: list[str] = []
    address = _closed().replace("://", "://me:secret@") + "/t/token-1234/x"
    spec = _spec([address], "beta", pip=packages.options)
    Builder(tmp_path / "environments", Channels({})).ensure(spec, said.append)
    assert any("does not answer" in line for line in said)
    assert not any("secret" in line or "token-1234" in line for line in said)


def test_a_channel_with_a_password_is_used_and_used_again_without_the_password_in_the_lock(
    tmp_path: Path, channel, monkeypatch
) -> None:
    expected = "Basic " + base64.b64encode(b"me:secret").decode()

    class Handler(SimpleHTTPRequestHandler):
        def send_head(self) -> Any:
            if self.headers.get("Authorization") == expected:
                return super().send_head()
            self.send_error(401)
            return None

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(channel.directory))) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        try:
            host = f"127.0.0.1:{server.server_address[1]}"
            said: list[str] = []
            builder = Builder(tmp_path / "environments", Channels({}))
            spec = _spec([f"http://me:secret@{host}"], "alpha")
            built = builder.ensure(spec, said.append)
            monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "another-cache"))
            again = builder.ensure(pinned(spec, built.lock), said.append)
            with pytest.raises(BuildFailed, match="401"):
                builder.ensure(_spec([f"http://{host}"], "alpha"), said.append)
        finally:
            server.shutdown()
    assert again.lock == built.lock
    assert built.lock[0].startswith(f"http://***@{host}/noarch/alpha-1.0-0.tar.bz2#sha256:")
    assert "Downloading alpha" in said
    assert not any("secret" in line for line in said)
