"""What differs between runs. Pure."""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from modelyard.server.runs.inputs_store import CONTEXT, Dataset
from modelyard.server.runs.summaries import Summary
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.comparison import Compared, ComparedFile, ComparedMetric
from modelyard.wire.runs import RunInfo, RunSpec

_LONGEST = 1000  # characters of a value that are shown whole
_SHOWN = 200  # of a longer one
# Metrics of which less is better, by the words in their names; of all others more is.
_LESS = re.compile(
    r"loss|err|rmse|mae|mse|mape|perplexity|latency|duration|seconds|regret|divergence|brier|_ms$|_s$",
    re.IGNORECASE,
)
_GIT = ("azureml.git.", "mlflow.source.git.")
_DATA = ("data", "dataReferences", "data_references", "inputs", "outputs", "outputData", "output_data")

Values = Mapping[str, Any]


def differences(of_runs: Sequence[Values], everything: bool = False) -> list[Compared]:
    """Names in the order in which they first come, each with its value in each run."""
    names = dict.fromkeys(name for values in of_runs for name in values)
    found = []
    for name in names:
        values = [given.get(name) for given in of_runs]
        differs = any(value != values[0] for value in values)
        if differs or everything:
            found.append(Compared(name, [_short(value) for value in values], differs))
    return found


def metrics(of_runs: Sequence[Sequence[Summary]]) -> list[ComparedMetric]:
    """Every metric with numbers, by name in the order in which they first come."""
    by_name = [{s.name: s for s in summaries if s.has_numbers} for summaries in of_runs]
    found = []
    for name in dict.fromkeys(name for summaries in by_name for name in summaries):
        of_name = [summaries.get(name) for summaries in by_name]
        last = [None if s is None else math.nan if s.last is None else s.last for s in of_name]
        lower = _LESS.search(name) is not None
        found.append(
            ComparedMetric(
                name,
                [_number(v) for v in last],
                [_number(s.min) if s else None for s in of_name],
                [_number(s.max) if s else None for s in of_name],
                lower,
                _best(last, lower),
            )
        )
    return found


def arguments(spec: RunSpec | None) -> dict[str, Any]:
    """`--lr 0.1`, `--lr=0.1` and `-v` by their names, the rest by their places (`#1`, `#2` …); the script first."""
    if spec is None:
        return {}
    found: dict[str, Any] = {"script": spec.script} if spec.script else {}
    place = 0
    waiting = list(spec.command or spec.arguments)
    while waiting:
        word = waiting.pop(0)
        if not _is_option(word):
            place += 1
            found[f"#{place}"] = word
            continue
        name, equals, value = word.partition("=")
        if not equals and waiting and not _is_option(waiting[0]):
            value = waiting.pop(0)
        found[name] = f"{found[name]} {value}" if name in found else value
    return found


def packages(lock: Iterable[str]) -> dict[str, str]:
    """Versions by package, by name."""
    found: dict[str, str] = {}
    for line in lock:
        name, separator, version = (
            re.split(r"(==| @ )", line.strip(), maxsplit=1)
            if re.search("==| @ ", line)
            else (line.strip(), "", "")
        )
        if name and not name.startswith("#"):
            found[re.sub(r"[-_.]+", "-", name).lower()] = version if separator else "?"
    return dict(sorted(found.items()))


def about(info: RunInfo) -> dict[str, Any]:
    """The run itself. Times differ always, so they are not here."""
    return {
        "status": info.status.value, "experiment": info.experiment, "type": info.type, "user": info.user,
        "duration_s": duration_s(info), "exit_code": info.exit_code,
        "error": (info.error.line or info.error.message) if info.error else None,
        "target": info.spec.target if info.spec else None, "node": info.node,
    }  # fmt: skip


def duration_s(info: RunInfo) -> float | None:
    if info.started_at is None or info.ended_at is None:
        return None
    return round(info.ended_at - info.started_at, 3)


def git(info: RunInfo) -> dict[str, Any]:
    """Commit, branch, address and whether it was dirty; v1 and MLflow name most of them both."""
    found: dict[str, Any] = {}
    for prefix in _GIT:
        for name, value in {**info.tags, **info.properties}.items():
            if name.startswith(prefix):
                found.setdefault(
                    {"repoURL": "repository_uri"}.get(name[len(prefix) :], name[len(prefix) :]), value
                )
    return found


def tags(info: RunInfo) -> dict[str, Any]:
    """Without what the other sections tell."""
    return {name: value for name, value in info.tags.items() if not name.startswith(_GIT)}


def configuration(spec: RunSpec | None) -> dict[str, Any]:
    """What was asked for beside script, arguments and environment."""
    if spec is None:
        return {}
    asked = {
        "max_duration_s": spec.max_duration_s, "framework": spec.framework, "communicator": spec.communicator,
        "node_count": spec.node_count,
    }  # fmt: skip
    variables = {f"variables.{name}": value for name, value in spec.variables.items()}
    return {**asked, **variables, **flat({k: v for k, v in spec.recorded.items() if k not in _DATA})}


def data(spec: RunSpec | None, read: Iterable[Dataset]) -> dict[str, Any]:
    """Datastore paths and datasets as the run configuration names them, and those that the run says it read."""
    found = {} if spec is None else flat({k: v for k, v in spec.recorded.items() if k in _DATA})
    for one in read:
        context = one.tags.get(CONTEXT, "")
        found[f"{one.name} ({context})" if context else one.name] = f"{one.digest} {one.source}".rstrip()
    return found


def environment(info: RunInfo) -> dict[str, Any]:
    spec = info.spec.environment if info.spec else None
    found: dict[str, Any] = {"content": info.environment_hash}
    if spec is not None:
        found.update(name=spec.name, version=spec.version, interpreter=spec.python.interpreter_path)
        found.update({f"variables.{name}": value for name, value in spec.variables.items()})
        found.update(flat({"docker": spec.docker}))
    return found


def flat(given: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as `a.b.c`; lists stay whole."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[prefix + name] = value
    return found


def files(trees: Sequence[Sequence[FileEntry]], everything: bool = False) -> list[ComparedFile]:
    """Files whose bytes differ between the trees, by path; or all of them."""
    by_path = [{entry.path: entry for entry in tree} for tree in trees]
    found = []
    for path in sorted({path for tree in by_path for path in tree}):
        entries = [tree.get(path) for tree in by_path]
        hashes = [entry.hash if entry else None for entry in entries]
        if everything or len(set(hashes)) > 1:
            found.append(ComparedFile(path, hashes, [entry.size if entry else None for entry in entries]))
    return found


def diff(path: str, before: Sequence[str] | None, after: Sequence[str] | None) -> str:
    """A unified diff of lines with their ends; None for a file that is not there."""
    lines = difflib.unified_diff(
        before or [],
        after or [],
        f"a/{path}" if before is not None else "/dev/null",
        f"b/{path}" if after is not None else "/dev/null",
    )
    return "".join(_ended(lines))


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"


def _is_option(word: str) -> bool:
    return re.match(r"--?[A-Za-z]", word) is not None


def _best(last: Sequence[float | None], lower: bool) -> list[int]:
    known = [value for value in last if value is not None and not math.isnan(value)]
    if len(known) < 2 or min(known) == max(known):
        return []
    best = min(known) if lower else max(known)
    return [place for place, value in enumerate(last) if value == best]


def _number(value: float | None) -> Any:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST:
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        return f"{value[:_SHOWN]}… ({len(value)} characters, SHA-256 {digest}…)"
    return value
