"""Makes an environment ready on this node: once per content, whole or not at all, telling what it does."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from modelyard.node.environments import conda, era, interpreters, marker, pip_settings
from modelyard.node.environments.build_log import BuildLock, follow
from modelyard.node.environments.channels import Channel, Channels
from modelyard.node.environments.interpreters import Interpreter, NoInterpreter
from modelyard.node.environments.marker import Marker
from modelyard.node.environments.requirements import CannotMap, Plan, plan
from modelyard.node.environments.user_managed import Interpreters, Unusable
from modelyard.wire import environment_hash
from modelyard.wire import requirement_lines as lines
from modelyard.wire.environment_hash import parts
from modelyard.wire.environments import EnvironmentSpec

_MOST_WORDS = 60  # lines of the resolver's output that a failure quotes

Log = Callable[[str], None]


class BuildFailed(RuntimeError):
    """The environment can't be had; the message holds the resolver's words."""


@dataclass(frozen=True)
class BuiltEnvironment:
    """Ready to run in. `lock`: the exact packages, `name==version` or the address of a conda package each; `notes`:
    what a person should know."""

    interpreter: str
    variables: dict[str, str]
    lock: list[str]
    python_version: str
    content_hash: str
    notes: list[str]


class Builder:
    """The environments under one directory: `<hash>/` with its marker `<hash>.json`, log, requests and lock file.

    Any number of threads and processes may use the same directory.
    """

    def __init__(self, root: Path, channels: Channels | None = None) -> None:
        self._root = root
        self._channels = channels or Channels()
        root.mkdir(parents=True, exist_ok=True)
        self._interpreters = Interpreters(root)

    def content_hash(self, spec: EnvironmentSpec) -> str:
        return environment_hash.content_hash(spec)

    def is_ready(self, spec: EnvironmentSpec) -> bool:
        """Whether `ensure` has nothing to install."""
        if environment_hash.is_user_managed(spec) or environment_hash.spec_problem(spec):
            return True
        return marker.read(self._marker(self.content_hash(spec))) is not None

    def ensure(self, spec: EnvironmentSpec, log: Log) -> BuiltEnvironment:
        """Build it, wait for whoever is building it, or find it ready. `log` gets each line as it comes.

        Raises BuildFailed.
        """
        problem = environment_hash.spec_problem(spec)
        if problem:
            raise BuildFailed(problem)
        digest = self.content_hash(spec)
        if environment_hash.is_user_managed(spec):
            try:
                found = self._interpreters.look_at(spec.python.interpreter_path)
            except Unusable as error:
                raise BuildFailed(str(error)) from error
            return _built(found, spec, digest)
        ready = marker.read(self._marker(digest))
        return _built(ready if ready is not None else self._make(spec, digest, log), spec, digest)

    def _marker(self, digest: str) -> Path:
        return self._root / f"{digest}.json"

    def _make(self, spec: EnvironmentSpec, digest: str, log: Log) -> Marker:
        self._root.mkdir(
            parents=True, exist_ok=True
        )  # somebody may have deleted all environments to make room
        lock = BuildLock(self._root / f"{digest}.lock")
        log_file, failed = self._root / f"{digest}.log", self._root / f"{digest}.failed"
        began = time.time_ns()
        try:
            if not lock.take():
                log("This environment is being built already; following that build.")
                follow(log_file, lock, log)
                # The one we waited for has failed with this very content: its words are ours.
                if failed.exists() and failed.stat().st_mtime_ns >= began:
                    raise BuildFailed(failed.read_text("utf-8"))
            ready = marker.read(self._marker(digest))
            if ready is not None:
                return ready
            failed.unlink(missing_ok=True)
            try:
                return _Build(self._root, digest, spec, self._channels, lock, log).run()
            except BuildFailed as error:
                failed.write_text(str(error), "utf-8")
                raise
        finally:
            lock.close()


def _built(ready: Marker, spec: EnvironmentSpec, digest: str) -> BuiltEnvironment:
    return BuiltEnvironment(
        ready.interpreter, dict(spec.variables), ready.lock, ready.python_version, digest, ready.notes
    )


class _Build:
    """One build, by the holder of the lock."""

    def __init__(
        self, root: Path, digest: str, spec: EnvironmentSpec, channels: Channels, lock: BuildLock, log: Log
    ) -> None:
        self._root = root
        self._digest = digest
        self._spec = spec
        self._channels = channels
        self._lock = lock
        self._log = log
        self._directory = root / digest
        self._python = self._directory / "bin" / "python"

    def run(self) -> Marker:
        began = time.monotonic()
        log_file = self._root / f"{self._digest}.log"
        log_file.unlink(missing_ok=True)
        with open(log_file, "w", encoding="utf-8", errors="replace", buffering=1) as self._file:
            try:
                done = self._steps()
            except (CannotMap, NoInterpreter) as error:
                self._say(f"Error: {error}")
                raise BuildFailed(str(error)) from error
            except BuildFailed:
                self._say(f"The build failed after {time.monotonic() - began:.1f} s.")
                raise
            except OSError as error:
                said = f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
                raise BuildFailed(f"The environment can't be built on this node: {said}.") from error
            self._say(f"Ready after {time.monotonic() - began:.1f} s: {len(done.lock)} packages.")
        marker.write(self._root / f"{self._digest}.json", done)
        return done

    def _steps(self) -> Marker:
        (self._root / f"{self._digest}.json").unlink(missing_ok=True)
        shutil.rmtree(self._directory, ignore_errors=True)  # what a build that was killed has left
        name = self._spec.name or "(not named)"
        self._say(f"Building environment {name}, content {self._digest[:12]}.")
        channels, why = conda.route(parts(self._spec.python), self._channels)
        wanted = plan(self._spec, from_channels=channels is not None)
        notes = [why, *wanted.notes] if why else list(wanted.notes)
        for note in notes:
            self._say(note)
        uv = interpreters.real_uv()
        in_file, arguments = _options(wanted.options)
        file = self._written("requirements.txt", "\n".join([*in_file, *wanted.requirements]) + "\n")
        lock: list[str] = []
        if channels is None:
            chosen = self._make_venv(uv, wanted, file, arguments, notes)
        else:
            chosen, lock = self._make_prefix(wanted, channels, notes)
        if chosen.version < interpreters.OLDEST_FOR_SDK:
            notes.append(f"modelyard and azureml can't be imported by Python {chosen.text}; they need 3.7.")
            self._say(notes[-1])
        if wanted.requirements:
            before = self._frozen(uv) if lock else []
            self._install(uv, file, arguments, chosen)
            lock += [line for line in self._frozen(uv) if line not in before]
        return Marker(str(self._python), chosen.text, lock, notes)

    def _make_venv(
        self, uv: str, wanted: Plan, file: Path, arguments: list[str], notes: list[str]
    ) -> Interpreter:
        chosen, changes = interpreters.choose(wanted.python, wanted.needs_sdk)
        if not interpreters.is_chosen(wanted.python):
            chosen = self._of_the_age(uv, wanted.requirements, file, arguments, chosen, changes)
        for note in changes:
            self._say(note)
        notes += changes
        self._say(f"Python {chosen.text} ({chosen.path}).")
        self._run([uv, "venv", "--quiet", "--no-project", "--python", chosen.path, str(self._directory)])
        return chosen

    def _make_prefix(
        self, wanted: Plan, channels: list[Channel], notes: list[str]
    ) -> tuple[Interpreter, list[str]]:
        """Install what comes from conda channels, Python among it; the interpreter, and the exact packages."""
        python, note = interpreters.for_sdk(wanted.python, wanted.needs_sdk)
        if note:
            notes.append(note)
            self._say(note)
        request = conda.request(replace(wanted, python=python), channels, self._directory)
        # It is the agent's Python that runs this installer, with the agent's modules.
        self._run(
            conda.command(self._written("conda.json", request)), PYTHONPATH=os.environ.get("PYTHONPATH", "")
        )
        version, lock = conda.contents(self._directory)
        if not version or not self._python.exists():
            raise BuildFailed(
                "The conda packages bring no Python, so nothing could run with them. Name python too."
            )
        began = time.monotonic()
        self._compile()
        self._say(f"Byte-compiled the conda packages in {time.monotonic() - began:.1f} s.")
        return Interpreter(str(self._python), interpreters.parsed(version)), lock

    def _written(self, suffix: str, content: str) -> Path:
        file = self._root / f"{self._digest}.{suffix}"
        # In a file of our own rather than as arguments: an address may hold a password, and arguments are public.
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(content)
        return file

    def _of_the_age(
        self,
        uv: str,
        requirements: list[str],
        file: Path,
        arguments: list[str],
        first: Interpreter,
        notes: list[str],
    ) -> Interpreter:
        names = era.held_back(requirements)
        if not names:
            return first
        resolve = era.resolver(uv, file, arguments, names, _environment())
        chosen = era.fitting(resolve, first, interpreters.installed)
        if chosen is not first:
            notes.append(
                f"Nobody chose a Python, and {', '.join(names)} as pinned can't be had as wheels for Python {first.text}; "
                f"taking {chosen.text}. To choose, name it among the conda packages: python=3.10, say."
            )
        return chosen

    def _install(self, uv: str, file: Path, arguments: list[str], chosen: Interpreter) -> None:
        python = str(self._python)
        uv_compiles = chosen.version >= interpreters.OLDEST_FOR_SDK  # what it runs for that needs 3.7
        compiling = ["--compile-bytecode"] if uv_compiles else []
        self._run([uv, "pip", "install", "--python", python, *arguments, *compiling, "-r", str(file)])
        if not uv_compiles:
            self._compile()

    def _compile(self) -> None:
        command = [str(self._python), "-m", "compileall", "-q", "-q", "-j", "0", str(self._directory / "lib")]
        # A file that does not compile (some packages carry templates) is no fault of the environment.
        subprocess.run(
            command, env=_environment(), check=False, capture_output=True, stdin=subprocess.DEVNULL,
            pass_fds=(self._lock.fd,),
        )  # fmt: skip

    def _frozen(self, uv: str) -> list[str]:
        command = [uv, "pip", "freeze", "--python", str(self._python), "--color", "never"]
        said = subprocess.run(
            command, capture_output=True, text=True, check=False, env=_environment(), cwd=self._root,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if said.returncode != 0:
            raise BuildFailed(f"What was installed can't be listed: {said.stderr.strip()}")
        return said.stdout.split("\n")[:-1]

    def _run(self, command: list[str], **variables: str) -> None:
        """Run an installer, passing on its words as they come. Raises BuildFailed with them if it fails."""
        words: list[str] = []
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**_environment(), **variables}, cwd=self._root,
            pass_fds=(self._lock.fd,),  # see BuildLock: an orphan installer still holds it
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                for raw in process.stdout:
                    line = raw.decode("utf-8", "replace").rstrip("\r\n")
                    words.append(line)
                    self._say(line)
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise BuildFailed(_failure(words, process.returncode))

    def _say(self, line: str) -> None:
        line = lines.without_secrets(line)
        self._file.write(line + "\n")
        self._log(line)


def _options(options: list[str]) -> tuple[list[str], list[str]]:
    """pip options as lines of a requirements file, and as arguments where uv wants them there."""
    in_file: list[str] = []
    arguments: list[str] = []
    for line in options:
        option, value = lines.split_option(line)
        if option == "--pre":
            arguments += ["--prerelease", "allow"]
        elif option == "--trusted-host":
            arguments += ["--allow-insecure-host", value]
        elif option != "--prefer-binary":  # uv always prefers wheels
            in_file.append(f"{option} {value}".strip())
        if option == "--extra-index-url" and "--index-strategy" not in arguments:
            # pip takes the best version of all indexes; a specification written for pip counts on it.
            arguments += ["--index-strategy", "unsafe-best-match"]
    return in_file, arguments


def _environment() -> dict[str, str]:
    """What an installer gets: this machine's settings, none of what belongs to the Python that runs the agent."""
    dropped = (
        "PYTHONDONTWRITEBYTECODE",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "PYTHONPATH",
        "PYTHONHOME",
        "UV_PYTHON",
    )
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in dropped and not k.startswith(("MODELYARD_", "AZUREML_"))
    }
    kept.update(pip_settings.for_uv(os.environ))
    kept.update({"NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"})
    return kept


def _failure(words: list[str], code: int) -> str:
    """The resolver's words from where its complaint begins."""
    start = next(
        (i for i, line in enumerate(words) if line.lstrip().startswith(("×", "error", "Error"))),
        max(0, len(words) - 20),
    )
    said = "\n".join(lines.without_secrets(line) for line in words[start : start + _MOST_WORDS]).strip()
    return (
        f"The environment can't be built:\n{said}"
        if said
        else f"The environment can't be built: its installer ended with code {code}."
    )
